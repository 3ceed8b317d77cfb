/** A name inside SQL. https://www.sqlite.org/lang_keywords.html */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function nameList(names: readonly string[]): string {
  return names.map(quoteName).join(', ');
}

/** SQLite compares names of tables and columns without regard to the case of ASCII letters, and of those only. */
export function foldCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
