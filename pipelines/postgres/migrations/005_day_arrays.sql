-- Days as arrays without a look-up a slot: names of codes are read once, and a day without codes is filled.
CREATE FUNCTION meterbeam_data.names(kind text) RETURNS text[]
LANGUAGE sql STABLE RETURN (
    SELECT array_agg(c.name ORDER BY n.code)
    FROM generate_series(0, (SELECT max(m.code) FROM meterbeam_data.codes m WHERE m.kind = names.kind)) AS n(code)
    LEFT JOIN meterbeam_data.codes c ON c.kind = names.kind AND c.code = n.code
);
COMMENT ON FUNCTION meterbeam_data.names IS 'Names of the codes of a kind: that of code c stands at c + 1.';

CREATE OR REPLACE VIEW meterbeam.days WITH (security_invoker = true) AS
WITH known AS MATERIALIZED (
    SELECT meterbeam_data.names('quality') AS qualities, meterbeam_data.names('method') AS methods
)
SELECT d.meter_id, d.channel, d.local_day, d.start, d.interval_s,
       ARRAY(SELECT s.value * 0.000001 FROM unnest(d."values") WITH ORDINALITY AS s(value, n) ORDER BY s.n)
           AS "values",
       CASE WHEN d.quality IS NULL
            THEN ARRAY(SELECT known.qualities[s.code + 1]
                       FROM unnest(d.qualities) WITH ORDINALITY AS s(code, n) ORDER BY s.n)
            ELSE array_fill(known.qualities[d.quality + 1], ARRAY[cardinality(d."values")])
       END AS qualities,
       CASE WHEN d.methods IS NULL THEN array_fill('none'::text, ARRAY[cardinality(d."values")])
            ELSE ARRAY(SELECT coalesce(known.methods[s.code + 1], 'none')
                       FROM unnest(d.methods) WITH ORDINALITY AS s(code, n) ORDER BY s.n)
       END AS methods,
       CASE WHEN d.flags IS NULL THEN array_fill(''::text, ARRAY[cardinality(d."values")])
            ELSE ARRAY(SELECT CASE WHEN coalesce(s.flags, 0) = 0 THEN '' ELSE meterbeam_data.flag_names(s.flags) END
                       FROM unnest(d.flags) WITH ORDINALITY AS s(flags, n) ORDER BY s.n)
       END AS flags,
       d.total * 0.000001 AS total,
       d.estimated_slots::double precision / cardinality(d."values") AS estimated_share, d.revision
FROM meterbeam_data.days d CROSS JOIN known WHERE NOT d.withdrawn;
