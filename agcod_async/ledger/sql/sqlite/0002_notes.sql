-- What programs remember of their work on the entries. Nothing of it decides about money.

CREATE TABLE notes (
    name TEXT NOT NULL PRIMARY KEY,
    note TEXT NOT NULL
);

PRAGMA user_version = 2;
