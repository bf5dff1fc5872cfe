-- Who sees what. A scope opens the meters of a commodity and region (null: any) to a role; without one a
-- reader or biller sees no row. Give people roles of their own, members of one of these three.
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['meterbeam_reader', 'meterbeam_operator', 'meterbeam_billing'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION WHEN duplicate_object THEN NULL;
        END;
    END LOOP;
END $$;

CREATE TABLE meterbeam_data.scopes (
    role_name   text NOT NULL,
    commodity   text,
    region      text,
    UNIQUE NULLS NOT DISTINCT (role_name, commodity, region)
);

CREATE FUNCTION meterbeam_data.in_scope(commodity text, region text) RETURNS boolean
LANGUAGE sql STABLE RETURN EXISTS (
    SELECT 1 FROM meterbeam_data.scopes s
    WHERE (s.commodity IS NULL OR s.commodity = in_scope.commodity)
      AND (s.region IS NULL OR s.region = in_scope.region)
);

ALTER TABLE meterbeam_data.scopes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_scopes ON meterbeam_data.scopes FOR SELECT USING (
    role_name IN (SELECT rolname FROM pg_roles WHERE pg_has_role(current_user, oid, 'member'))
);

ALTER TABLE meterbeam_data.meters ENABLE ROW LEVEL SECURITY;
ALTER TABLE meterbeam_data.accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY scoped ON meterbeam_data.meters FOR SELECT USING (meterbeam_data.in_scope(commodity, region));
CREATE POLICY scoped ON meterbeam_data.accounts FOR SELECT USING (meterbeam_data.in_scope(commodity, region));

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['days', 'determinants', 'queues', 'faults'] LOOP
        EXECUTE format('ALTER TABLE meterbeam_data.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY visible_meters ON meterbeam_data.%I FOR SELECT '
                       'USING (meter_id IN (SELECT m.meter_id FROM meterbeam_data.meters m))', name);
    END LOOP;
END $$;
ALTER TABLE meterbeam_data.bills ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible_accounts ON meterbeam_data.bills FOR SELECT
    USING (account_id IN (SELECT a.account_id FROM meterbeam_data.accounts a));

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['meters', 'accounts', 'days', 'determinants', 'queues', 'faults', 'bills'] LOOP
        EXECUTE format('CREATE POLICY everything ON meterbeam_data.%I FOR SELECT '
                       'TO meterbeam_operator USING (true)', name);
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA meterbeam, meterbeam_data TO meterbeam_reader, meterbeam_operator, meterbeam_billing;
GRANT SELECT ON meterbeam_data.codes, meterbeam_data.meters, meterbeam_data.scopes
    TO meterbeam_reader, meterbeam_operator, meterbeam_billing;
GRANT SELECT ON meterbeam_data.days, meterbeam.readings, meterbeam.days, meterbeam.findings
    TO meterbeam_reader, meterbeam_operator;
GRANT SELECT ON meterbeam_data.determinants, meterbeam.determinants
    TO meterbeam_reader, meterbeam_operator, meterbeam_billing;
GRANT SELECT ON meterbeam_data.accounts, meterbeam_data.bills, meterbeam.bills, meterbeam.bill_lines
    TO meterbeam_billing, meterbeam_operator;
GRANT SELECT ON meterbeam_data.queues, meterbeam_data.faults, meterbeam_data.runs, meterbeam_data.pushed,
    meterbeam.change_queue, meterbeam.state_queue, meterbeam.faults, meterbeam.runs
    TO meterbeam_operator;
