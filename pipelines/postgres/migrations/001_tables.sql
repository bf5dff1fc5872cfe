-- Tables of results, as the lake stores them: a row a local day, quantities in whole micro-units.
CREATE SCHEMA IF NOT EXISTS meterbeam_data;

CREATE TABLE meterbeam_data.pushed (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    lake_id     text NOT NULL,
    run_no      integer NOT NULL,
    run_id      text NOT NULL,
    finished    timestamptz NOT NULL
);
COMMENT ON TABLE meterbeam_data.pushed IS 'Up to which run of which lake this database is complete.';

CREATE TABLE meterbeam_data.codes (
    kind        text NOT NULL CHECK (kind IN ('quality', 'method', 'flag')),
    code        integer NOT NULL,
    name        text NOT NULL,
    PRIMARY KEY (kind, code)
);

CREATE TABLE meterbeam_data.meters (
    meter_id    text PRIMARY KEY,
    commodity   text,
    region      text,
    account_id  text
);
COMMENT ON COLUMN meterbeam_data.meters.region IS 'The feeder of the service point in force last.';

CREATE TABLE meterbeam_data.accounts (
    account_id  text NOT NULL,
    commodity   text,
    region      text,
    UNIQUE NULLS NOT DISTINCT (account_id, commodity, region)
);

CREATE TABLE meterbeam_data.days (
    meter_id        text NOT NULL,
    channel         text NOT NULL,
    local_day       date NOT NULL,
    start           timestamptz,
    interval_s      integer,
    unit            text,
    "values"        bigint[],
    quality         smallint,
    qualities       smallint[],
    methods         smallint[],
    flags           integer[],
    measured        bigint[],
    total           bigint,
    estimated_slots integer,
    findings        jsonb NOT NULL DEFAULT '[]',
    revision        integer NOT NULL CHECK (revision > 0),
    withdrawn       boolean NOT NULL,
    PRIMARY KEY (meter_id, channel, local_day)
) PARTITION BY RANGE (local_day);
CREATE INDEX days_by_day ON meterbeam_data.days (local_day);

CREATE TABLE meterbeam_data.determinants (
    meter_id    text NOT NULL,
    local_day   date NOT NULL,
    tariff_id   text,
    lines       jsonb NOT NULL DEFAULT '[]',
    revision    integer NOT NULL CHECK (revision > 0),
    withdrawn   boolean NOT NULL,
    PRIMARY KEY (meter_id, local_day)
) PARTITION BY RANGE (local_day);
CREATE INDEX determinants_by_day ON meterbeam_data.determinants (local_day);

CREATE TABLE meterbeam_data.bills (
    bill_id         text NOT NULL,
    account_id      text,
    period_start    date,
    period_end      date,
    status          text,
    total           numeric(24, 6),
    currency        text,
    estimated_share double precision,
    reason          text,
    lines           jsonb NOT NULL DEFAULT '[]',
    revision        integer NOT NULL CHECK (revision > 0),
    withdrawn       boolean NOT NULL,
    PRIMARY KEY (bill_id, revision)
);
CREATE INDEX bills_by_account ON meterbeam_data.bills (account_id, period_start);

CREATE TABLE meterbeam_data.queues (
    queue       text NOT NULL CHECK (queue IN ('change', 'state')),
    meter_id    text NOT NULL,
    rank        integer NOT NULL,
    score       double precision,
    first_week  date,
    kwh_lost    double precision,
    reasons     text,
    against     text,
    as_of       date,
    PRIMARY KEY (queue, meter_id)
);

CREATE TABLE meterbeam_data.faults (
    meter_id    text NOT NULL,
    fault       text NOT NULL,
    since       date,
    until       date,
    severity    text,
    evidence    text
);
CREATE INDEX faults_by_meter ON meterbeam_data.faults (meter_id);

CREATE TABLE meterbeam_data.runs (
    run_no          integer PRIMARY KEY,
    run_id          text NOT NULL UNIQUE,
    started         timestamptz NOT NULL,
    finished        timestamptz NOT NULL,
    inputs          text,
    counts          text,
    code_version    text,
    rules           text,
    tariffs         text
);
