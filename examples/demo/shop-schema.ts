import type { Client } from 'pg';

/** The tables of a small shop, in schema shop. */
export const SHOP_TABLES = `
CREATE TYPE shop.order_status AS ENUM ('new', 'paid', 'packed', 'shipped', 'delivered', 'returned');
CREATE TABLE shop.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  email text NOT NULL UNIQUE,
  city text NOT NULL,
  password_hash text NOT NULL,
  preferences jsonb NOT NULL DEFAULT '{}',
  joined_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE shop.products (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sku text NOT NULL UNIQUE,
  name text NOT NULL,
  description text NOT NULL,
  price numeric(10,2) NOT NULL CHECK (price > 0),
  stock int NOT NULL,
  tags text[] NOT NULL DEFAULT '{}',
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE shop.orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES shop.customers,
  status shop.order_status NOT NULL DEFAULT 'new',
  total numeric(12,2) NOT NULL,
  placed_at timestamptz NOT NULL DEFAULT now(),
  shipped_at timestamptz
);
CREATE TABLE shop.order_lines (
  order_id bigint NOT NULL REFERENCES shop.orders ON DELETE CASCADE,
  line_no int NOT NULL,
  product_id bigint NOT NULL REFERENCES shop.products,
  quantity int NOT NULL CHECK (quantity > 0),
  unit_price numeric(10,2) NOT NULL,
  PRIMARY KEY (order_id, line_no)
);
`;

/** The shop, empty. It belongs to a role that is not a superuser, as in most databases. */
export const SCHEMA = `
CREATE ROLE shop_owner NOLOGIN;
CREATE SCHEMA shop AUTHORIZATION shop_owner;
SET ROLE shop_owner;
${SHOP_TABLES}
RESET ROLE;
`;

export const CUSTOMERS = 400;

const FIRST_NAMES = [
  'Ada',
  'Benoît',
  'Chiara',
  'Dmitri',
  'Elif',
  'Femke',
  'Grace',
  'Hiroshi',
  'Ingrid',
  'João',
  'Kofi',
  'Léa',
  'Mateo',
  'Nadia',
  'Olu',
  'Priya',
];
const LAST_NAMES = [
  'Almeida',
  'Berg',
  'Costa',
  'Dubois',
  'Eriksen',
  'Fischer',
  'García',
  'Hansen',
  'Ivanova',
  'Jensen',
  'Kowalski',
  'Lindqvist',
  'Moreau',
  'Novák',
  'Okafor',
  'Tanaka',
];
const CITIES = ['Lisbon', 'Berlin', 'Lyon', 'Gdańsk', 'Oslo', 'Kyoto', 'Accra', 'Porto', 'Turin', 'Utrecht'];
const MATERIALS = [
  'oak',
  'linen',
  'copper',
  'wool',
  'stoneware',
  'beech',
  'glass',
  'leather',
  'brass',
  'cork',
];
const THINGS = [
  'table lamp',
  'reading chair',
  'teapot',
  'bookshelf',
  'blanket',
  'cutting board',
  'coffee grinder',
  'wall clock',
  'backpack',
  'umbrella',
  'desk organiser',
  'candle holder',
];
const VIRTUES = [
  'made by hand in small series',
  'built to be repaired',
  'finished with plant oil',
  'designed for small rooms',
  'with a lifetime guarantee',
];

export const PRODUCTS = MATERIALS.length * THINGS.length;

/** Customers and products, as any shop has them before the first order. */
export async function seed(client: Client): Promise<void> {
  const customers = Array.from({ length: CUSTOMERS }, (_, i) => {
    const first = FIRST_NAMES[i % FIRST_NAMES.length] ?? '';
    const last = LAST_NAMES[Math.floor(i / FIRST_NAMES.length) % LAST_NAMES.length] ?? '';
    return {
      name: `${first} ${last}`,
      email: `customer${i + 1}@example.com`,
      city: CITIES[i % CITIES.length],
      hash: `argon2id$${i}`,
    };
  });
  await client.query(
    `INSERT INTO shop.customers (name, email, city, password_hash, preferences)
     SELECT c->>'name', c->>'email', c->>'city', c->>'hash', '{"newsletter": true}' FROM jsonb_array_elements($1::jsonb) c`,
    [JSON.stringify(customers)],
  );
  const products = MATERIALS.flatMap((material, m) =>
    THINGS.map((thing, t) => ({
      sku: `${material.slice(0, 3).toUpperCase()}-${String(t + 1).padStart(3, '0')}`,
      name: `${material[0]?.toUpperCase()}${material.slice(1)} ${thing}`,
      description: `A ${thing} of ${material}, ${VIRTUES[(m + t) % VIRTUES.length]}.`,
      price: (12 + ((m * 37 + t * 53) % 240) + 0.9).toFixed(2),
      tags: [material, thing.split(' ').at(-1)],
    })),
  );
  await client.query(
    `INSERT INTO shop.products (sku, name, description, price, stock, tags)
     SELECT p->>'sku', p->>'name', p->>'description', (p->>'price')::numeric, 500,
            ARRAY(SELECT jsonb_array_elements_text(p->'tags'))
     FROM jsonb_array_elements($1::jsonb) p`,
    [JSON.stringify(products)],
  );
}
