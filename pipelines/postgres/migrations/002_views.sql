-- The output contract: the same names, columns and exact decimals as `meterbeam query` shows.
CREATE SCHEMA IF NOT EXISTS meterbeam;

CREATE FUNCTION meterbeam_data.name_of(kind text, code integer) RETURNS text
LANGUAGE sql STABLE RETURN (
    SELECT c.name FROM meterbeam_data.codes c WHERE c.kind = name_of.kind AND c.code = name_of.code
);

CREATE FUNCTION meterbeam_data.flag_names(flags integer) RETURNS text
LANGUAGE sql STABLE RETURN (
    SELECT coalesce(string_agg(c.name, '|' ORDER BY c.code), '')
    FROM meterbeam_data.codes c WHERE c.kind = 'flag' AND flag_names.flags & c.code > 0
);

CREATE VIEW meterbeam.readings WITH (security_invoker = true) AS
SELECT d.meter_id, d.channel, d.start + (i.n - 1) * make_interval(secs => d.interval_s) AS start,
       d.interval_s, d."values"[i.n] * 0.000001 AS value,
       CASE WHEN d.measured IS NULL THEN d."values"[i.n] ELSE d.measured[i.n] END * 0.000001 AS measured,
       d.unit, q.name AS quality, coalesce(m.name, 'none') AS method,
       CASE WHEN coalesce(d.flags[i.n], 0) = 0 THEN '' ELSE meterbeam_data.flag_names(d.flags[i.n]) END AS flags,
       d.revision
FROM meterbeam_data.days d
CROSS JOIN LATERAL generate_subscripts(d."values", 1) AS i(n)
JOIN meterbeam_data.codes q ON q.kind = 'quality' AND q.code = coalesce(d.quality, d.qualities[i.n])
LEFT JOIN meterbeam_data.codes m ON m.kind = 'method' AND m.code = d.methods[i.n]
WHERE NOT d.withdrawn;

CREATE VIEW meterbeam.days WITH (security_invoker = true) AS
SELECT d.meter_id, d.channel, d.local_day, d.start, d.interval_s,
       ARRAY(SELECT v * 0.000001 FROM unnest(d."values") WITH ORDINALITY AS u(v, n) ORDER BY n) AS "values",
       ARRAY(SELECT meterbeam_data.name_of('quality', coalesce(d.quality, d.qualities[n]))
             FROM generate_subscripts(d."values", 1) AS n ORDER BY n) AS qualities,
       ARRAY(SELECT coalesce(meterbeam_data.name_of('method', d.methods[n]), 'none')
             FROM generate_subscripts(d."values", 1) AS n ORDER BY n) AS methods,
       ARRAY(SELECT meterbeam_data.flag_names(coalesce(d.flags[n], 0))
             FROM generate_subscripts(d."values", 1) AS n ORDER BY n) AS flags,
       d.total * 0.000001 AS total,
       d.estimated_slots::double precision / cardinality(d."values") AS estimated_share, d.revision
FROM meterbeam_data.days d WHERE NOT d.withdrawn;

CREATE VIEW meterbeam.findings WITH (security_invoker = true) AS
SELECT f.rule, f.severity, d.meter_id, nullif(d.channel, '') AS channel, d.local_day, f.start, f."end",
       f.seen, f.expected, d.revision
FROM meterbeam_data.days d
CROSS JOIN LATERAL jsonb_to_recordset(d.findings)
    AS f(rule text, severity text, start timestamptz, "end" timestamptz, seen text, expected text);

CREATE VIEW meterbeam.determinants WITH (security_invoker = true) AS
SELECT d.meter_id, d.local_day, d.tariff_id, l.period, l.direction, l.quantity * 0.000001 AS quantity, l.unit
FROM meterbeam_data.determinants d
CROSS JOIN LATERAL jsonb_to_recordset(d.lines) AS l(period text, direction text, quantity bigint, unit text)
WHERE NOT d.withdrawn;

CREATE VIEW meterbeam.bills WITH (security_invoker = true) AS
SELECT bill_id, account_id, period_start, period_end, revision,
       CASE WHEN withdrawn OR revision < max(revision) OVER (PARTITION BY bill_id) THEN 'reversed'
            ELSE status END AS status,
       total, currency, estimated_share, reason
FROM meterbeam_data.bills;

CREATE VIEW meterbeam.bill_lines WITH (security_invoker = true) AS
SELECT b.bill_id, b.revision, l.line, l.charge, l.tariff_id, l.tariff_version, l.period, l.tier,
       l.quantity, l.unit, l.rate, l.amount
FROM meterbeam_data.bills b
CROSS JOIN LATERAL jsonb_to_recordset(b.lines)
    AS l(line integer, charge text, tariff_id text, tariff_version integer, period text, tier integer,
         quantity numeric, unit text, rate numeric, amount numeric);

CREATE VIEW meterbeam.change_queue WITH (security_invoker = true) AS
SELECT meter_id, rank, score, first_week, kwh_lost, reasons, against, as_of
FROM meterbeam_data.queues WHERE queue = 'change';

CREATE VIEW meterbeam.state_queue WITH (security_invoker = true) AS
SELECT meter_id, rank, score, first_week, kwh_lost, reasons, against, as_of
FROM meterbeam_data.queues WHERE queue = 'state';

CREATE VIEW meterbeam.faults WITH (security_invoker = true) AS
SELECT meter_id, fault, since, until, severity, evidence FROM meterbeam_data.faults;

CREATE VIEW meterbeam.runs WITH (security_invoker = true) AS
SELECT run_id, started, finished, inputs, counts, code_version, rules, tariffs FROM meterbeam_data.runs;
