// RFC 8785 by the engine's own serializer: JSON.stringify for strings and numbers, and keys sorted
// as the engine sorts strings, by UTF-16 code units. Reads a JSON document a line, writes its
// canonical bytes in hex, a line each.
import { createInterface } from "node:readline";

function canonical(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${members.join(",")}}`;
}

const written = [];
for await (const line of createInterface({ input: process.stdin })) {
  written.push(Buffer.from(canonical(JSON.parse(line)), "utf8").toString("hex"));
}
process.stdout.write(written.join("\n") + "\n");
