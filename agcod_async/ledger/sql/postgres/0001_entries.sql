CREATE TABLE agcod_schema (
    version INTEGER PRIMARY KEY,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE agcod_entries (
    reference TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('create', 'activate', 'load')),
    amount NUMERIC NOT NULL,
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
    goal TEXT NOT NULL CHECK (goal IN ('issue', 'replace', 'undo')),
    state TEXT NOT NULL CHECK (
        state IN ('planned', 'sent', 'issued', 'refused', 'reversing', 'reversed', 'abandoned')
    ),
    version BIGINT NOT NULL,
    owner TEXT,
    lease_until TIMESTAMPTZ,
    attempts INTEGER NOT NULL,
    planned_at TIMESTAMPTZ NOT NULL,
    first_sent_at TIMESTAMPTZ,
    last_sent_at TIMESTAMPTZ,
    sign_by TIMESTAMPTZ,
    alive_at TIMESTAMPTZ,
    unknown_since TIMESTAMPTZ,
    reversed_since TIMESTAMPTZ,
    settled_at TIMESTAMPTZ,
    due_at TIMESTAMPTZ,
    has_unknown BOOLEAN NOT NULL,
    last_error_code TEXT,
    last_error_type TEXT,
    last_error_at TIMESTAMPTZ,
    aws_request_id TEXT,
    gc_id TEXT,
    CHECK (NOT (state = 'refused' AND has_unknown)),
    CHECK (NOT (state IN ('planned', 'sent', 'reversing') AND due_at IS NULL))
);

-- What the recovery of one payer drives: the few entries that are open.
CREATE INDEX agcod_entries_due ON agcod_entries (partner_id, endpoint, due_at, reference)
    WHERE due_at IS NOT NULL;

-- Ids that are dead.
CREATE TABLE agcod_history (
    reference TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    amount NUMERIC NOT NULL,
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
    version BIGINT NOT NULL,
    owner TEXT,
    lease_until TIMESTAMPTZ,
    attempts INTEGER NOT NULL,
    planned_at TIMESTAMPTZ NOT NULL,
    first_sent_at TIMESTAMPTZ,
    last_sent_at TIMESTAMPTZ,
    sign_by TIMESTAMPTZ,
    alive_at TIMESTAMPTZ,
    unknown_since TIMESTAMPTZ,
    reversed_since TIMESTAMPTZ,
    settled_at TIMESTAMPTZ,
    due_at TIMESTAMPTZ,
    has_unknown BOOLEAN NOT NULL,
    last_error_code TEXT,
    last_error_type TEXT,
    last_error_at TIMESTAMPTZ,
    aws_request_id TEXT,
    gc_id TEXT,
    PRIMARY KEY (reference, generation)
);

INSERT INTO agcod_schema (version) VALUES (1);
