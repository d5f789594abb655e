SELECT JSON_OBJECT('line', 'server', 'version', VERSION());
SELECT JSON_OBJECT('line', 'setting', 'name', LOWER(VARIABLE_NAME), 'value', VARIABLE_VALUE)
  FROM information_schema.GLOBAL_VARIABLES
  WHERE VARIABLE_NAME IN ('INIT_CONNECT', 'EVENT_SCHEDULER', 'MAX_ALLOWED_PACKET', 'WSREP_ON', 'READ_ONLY');
SELECT JSON_OBJECT('line', 'setting', 'name', LOWER(VARIABLE_NAME), 'value', VARIABLE_VALUE)
  FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SLAVES_RUNNING';
SELECT JSON_OBJECT('line', 'database', 'name', SCHEMA_NAME, 'charset', DEFAULT_CHARACTER_SET_NAME,
    'collation', DEFAULT_COLLATION_NAME)
  FROM information_schema.SCHEMATA
  WHERE SCHEMA_NAME NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql') ORDER BY SCHEMA_NAME;
SELECT JSON_OBJECT('line', 'object', 'database', TABLE_SCHEMA, 'name', TABLE_NAME,
    -- The number of rows makes the server look into the view, so that it tells when that fails.
    'kind', IF(TABLE_TYPE = 'VIEW' AND TABLE_COMMENT <> 'VIEW' AND TABLE_ROWS IS NULL, 'BROKEN VIEW', TABLE_TYPE),
    'engine', ENGINE)
  FROM information_schema.TABLES
  WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql');
SELECT JSON_OBJECT('line', 'object', 'database', TRIGGER_SCHEMA, 'name', TRIGGER_NAME, 'kind', 'TRIGGER')
  FROM information_schema.TRIGGERS
  WHERE TRIGGER_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql');
SELECT JSON_OBJECT('line', 'object', 'database', ROUTINE_SCHEMA, 'name', ROUTINE_NAME, 'kind', ROUTINE_TYPE)
  FROM information_schema.ROUTINES
  WHERE ROUTINE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql');
SELECT JSON_OBJECT('line', 'object', 'database', EVENT_SCHEMA, 'name', EVENT_NAME, 'kind', 'EVENT')
  FROM information_schema.EVENTS
  WHERE EVENT_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql');
SELECT JSON_OBJECT('line', 'object', 'database', CONSTRAINT_SCHEMA, 'name', CONSTRAINT_NAME, 'kind', 'FOREIGN KEY ELSEWHERE')
  FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UNIQUE_CONSTRAINT_SCHEMA <> CONSTRAINT_SCHEMA;
