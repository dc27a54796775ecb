-- Times are microseconds since 1970-01-01T00:00:00Z, amounts are exact decimal text.

CREATE TABLE entries (
    reference TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    amount TEXT NOT NULL,
    currency_code TEXT NOT NULL,
    card_number TEXT,
    account_id TEXT,
    account_type TEXT,
    source_id TEXT,
    institution_id TEXT,
    source_details TEXT,
    program_id TEXT,
    product_type TEXT,
    external_reference TEXT,
    partner_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    generation INTEGER NOT NULL CHECK (generation >= 1),
    request_id TEXT NOT NULL,
    goal TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state IN ('planned', 'sent', 'issued', 'refused', 'reversing', 'reversed', 'abandoned')
    ),
    version INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER,
    attempts INTEGER NOT NULL,
    planned_at INTEGER NOT NULL,
    first_sent_at INTEGER,
    last_sent_at INTEGER,
    sign_by INTEGER,
    alive_at INTEGER,
    unknown_since INTEGER,
    reversed_since INTEGER,
    settled_at INTEGER,
    due_at INTEGER,
    has_unknown INTEGER NOT NULL,
    last_error_code TEXT,
    last_error_type TEXT,
    gc_id TEXT,
    CHECK (NOT (state = 'refused' AND has_unknown)),
    CHECK (NOT (state IN ('planned', 'sent', 'reversing') AND due_at IS NULL))
) WITHOUT ROWID;

-- What the recovery of one payer drives: the few entries that are open.
CREATE INDEX entries_due ON entries (partner_id, endpoint, due_at) WHERE due_at IS NOT NULL;

-- Ids that are dead.
CREATE TABLE history (
    reference TEXT NOT NULL,
    kind TEXT NOT NULL,
    amount TEXT NOT NULL,
    currency_code TEXT NOT NULL,
    card_number TEXT,
    account_id TEXT,
    account_type TEXT,
    source_id TEXT,
    institution_id TEXT,
    source_details TEXT,
    program_id TEXT,
    product_type TEXT,
    external_reference TEXT,
    partner_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    generation INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    goal TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state = 'reversed'),
    version INTEGER NOT NULL,
    owner TEXT,
    lease_until INTEGER,
    attempts INTEGER NOT NULL,
    planned_at INTEGER NOT NULL,
    first_sent_at INTEGER,
    last_sent_at INTEGER,
    sign_by INTEGER,
    alive_at INTEGER,
    unknown_since INTEGER,
    reversed_since INTEGER,
    settled_at INTEGER,
    due_at INTEGER,
    has_unknown INTEGER NOT NULL,
    last_error_code TEXT,
    last_error_type TEXT,
    gc_id TEXT,
    PRIMARY KEY (reference, generation)
) WITHOUT ROWID;

PRAGMA application_id = 1095189327;
PRAGMA user_version = 1;
