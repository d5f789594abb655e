-- The harness's own notes inside the manager's database: every change of a row that matters, and every event, with the
-- transaction that made it. Committed with what it tells about, so it survives whatever that survives.

CREATE TABLE chaos_changes (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction bigint NOT NULL DEFAULT txid_current(),
    sort        text NOT NULL,
    old         jsonb,
    new         jsonb
);

CREATE TABLE chaos_events (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction bigint NOT NULL DEFAULT txid_current(),
    event       jsonb NOT NULL
);

CREATE FUNCTION chaos_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_changes (sort, old, new)
    VALUES (rtrim(TG_TABLE_NAME, 's'),
            CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
            CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN NULL;
END $$;

CREATE FUNCTION chaos_note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_events (event) VALUES (to_jsonb(NEW));
    RETURN NULL;
END $$;

CREATE TRIGGER zz_chaos_rows AFTER INSERT OR DELETE ON backups FOR EACH ROW EXECUTE FUNCTION chaos_note_change();
CREATE TRIGGER zz_chaos_rows AFTER INSERT OR DELETE ON restores FOR EACH ROW EXECUTE FUNCTION chaos_note_change();
CREATE TRIGGER zz_chaos_moves AFTER UPDATE ON backups FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.removal_reason IS DISTINCT FROM NEW.removal_reason
          OR OLD.cancel_requested_at IS DISTINCT FROM NEW.cancel_requested_at
          OR OLD.dispatch_epoch IS DISTINCT FROM NEW.dispatch_epoch)
    EXECUTE FUNCTION chaos_note_change();
CREATE TRIGGER zz_chaos_moves AFTER UPDATE ON restores FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.cancel_requested_at IS DISTINCT FROM NEW.cancel_requested_at
          OR OLD.dispatch_epoch IS DISTINCT FROM NEW.dispatch_epoch)
    EXECUTE FUNCTION chaos_note_change();
CREATE TRIGGER zz_chaos_events AFTER INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION chaos_note_event();
