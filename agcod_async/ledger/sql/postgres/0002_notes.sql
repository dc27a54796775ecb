-- What programs remember of their work on the entries. Nothing of it decides about money.

CREATE TABLE agcod_notes (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    note TEXT NOT NULL
);

INSERT INTO agcod_schema (version) VALUES (2);
