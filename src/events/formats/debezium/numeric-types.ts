import type { ByteWriter } from '../../byte-writer.ts';
import type { ColumnType } from '../../relation.ts';
import { writeJavaDouble } from '../../values/floats.ts';
import { writeQuoted } from '../../values/json-string.ts';
import {
  decimalText,
  isSpecialNumeric,
  numericModifier,
  readMoney,
  writeDecimal,
  writeUnscaled,
  writeVariableScaleDecimal,
} from '../../values/numerics.ts';
import { UnwritableValue, type WriteValue } from '../../values/value-writer.ts';
import type { ConnectSchema } from './connect-schema.ts';
import type { ConnectType } from './connect-type.ts';
import type { DebeziumSettings } from './options.ts';

const VARIABLE_SCALE: ConnectSchema = {
  type: 'struct',
  fields: [
    { field: 'scale', schema: { type: 'int32' } },
    { field: 'value', schema: { type: 'bytes' } },
  ],
  name: 'io.debezium.data.VariableScaleDecimal',
  version: 1,
  doc: 'Variable scaled decimal',
};

const SPECIAL_NAMES: Readonly<Record<string, string>> = {
  NaN: '"NAN"',
  Infinity: '"POSITIVE_INFINITY"',
  '-Infinity': '"NEGATIVE_INFINITY"',
};

export function numericType(type: ColumnType, settings: DebeziumSettings): ConnectType | undefined {
  if (type.name === 'money') return moneyType(settings);
  if (type.name !== 'numeric') return undefined;
  switch (settings.decimal_handling_mode) {
    case 'string':
      return { schema: { type: 'string' }, write: writeNumericText };
    case 'double':
      return { schema: { type: 'double' }, write: writeNumericDouble };
    case 'precise': {
      const modifier = numericModifier(type.typmod);
      if (modifier === undefined) return { schema: VARIABLE_SCALE, write: finite(writeVariableScaleDecimal) };
      const { precision, scale } = modifier;
      return {
        schema: decimalSchema(scale, { 'connect.decimal.precision': String(precision) }),
        write: finite((bytes, start, end, out) => writeDecimal(bytes, start, end, scale, out)),
      };
    }
  }
}

function decimalSchema(scale: number, more: Readonly<Record<string, string>> = {}): ConnectSchema {
  return {
    type: 'bytes',
    name: 'org.apache.kafka.connect.data.Decimal',
    version: 1,
    parameters: { scale: String(scale), ...more },
  };
}

function finite(write: WriteValue): WriteValue {
  return (bytes, start, end, out) => {
    if (isSpecialNumeric(bytes, start, end)) {
      throw new UnwritableValue('is NaN or infinite, which a Decimal has no form for', {
        fix: 'Set decimal_handling_mode: string on the mapping.',
      });
    }
    write(bytes, start, end, out);
  };
}

function writeNumericText(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  if (isSpecialNumeric(bytes, start, end)) out.ascii(SPECIAL_NAMES[bytes.latin1Slice(start, end)] ?? '');
  else writeQuoted(bytes, start, end, out);
}

function writeNumericDouble(bytes: Buffer, start: number, end: number, out: ByteWriter): void {
  writeJavaDouble(Number(bytes.latin1Slice(start, end)), out);
}

function moneyType(settings: DebeziumSettings): ConnectType {
  const digits = settings.money_fraction_digits;
  const amount = (bytes: Buffer, start: number, end: number): string =>
    decimalText(readMoney(bytes, start, end), digits);
  switch (settings.decimal_handling_mode) {
    case 'string':
      return {
        schema: { type: 'string' },
        write: (bytes, start, end, out) => out.ascii(`"${amount(bytes, start, end)}"`),
      };
    case 'double':
      return {
        schema: { type: 'double' },
        write: (bytes, start, end, out) => writeJavaDouble(Number(amount(bytes, start, end)), out),
      };
    case 'precise':
      return {
        schema: decimalSchema(digits),
        write: (bytes, start, end, out) => writeUnscaled(readMoney(bytes, start, end), out),
      };
  }
}
