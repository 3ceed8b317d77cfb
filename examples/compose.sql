-- The tables of examples/compose.yaml, and the role that Tailrace connects as.
-- It may replicate, and belongs to the owner of the tables: only an owner can put them into a publication.
CREATE ROLE shop_owner NOLOGIN;
CREATE ROLE tailrace LOGIN REPLICATION PASSWORD 'tailrace' IN ROLE shop_owner;
DO $$ BEGIN
  EXECUTE format('GRANT CREATE ON DATABASE %I TO tailrace', current_database());
END $$;

CREATE SCHEMA shop AUTHORIZATION shop_owner;
SET ROLE shop_owner;

CREATE TABLE shop.customers (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name          text NOT NULL,
  email         text NOT NULL,
  password_hash text NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shop.orders (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES shop.customers,
  status      text NOT NULL DEFAULT 'new',
  total       numeric(12, 2) NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);

RESET ROLE;
