-- What a suspect costs, and which model ordered the queue.
ALTER TABLE meterbeam_data.queues
    ADD COLUMN money_lost numeric,
    ADD COLUMN currency   text,
    ADD COLUMN model      text;

CREATE OR REPLACE VIEW meterbeam.change_queue WITH (security_invoker = true) AS
SELECT meter_id, rank, score, first_week, kwh_lost, reasons, against, as_of, money_lost, currency, model
FROM meterbeam_data.queues WHERE queue = 'change';

CREATE OR REPLACE VIEW meterbeam.state_queue WITH (security_invoker = true) AS
SELECT meter_id, rank, score, first_week, kwh_lost, reasons, against, as_of, money_lost, currency, model
FROM meterbeam_data.queues WHERE queue = 'state';
