// Reads a JSON array of texts in base64 from standard input and writes what jsonc-parser makes of each: as
// JSON.stringify writes the value, the same with each number as String writes it, and the value as String writes it.
// A text without a value gives three times null. The bytes become text as in the dev container CLI.
import { readFileSync } from 'node:fs'
import { parse } from 'jsonc-parser'

const numbersAsText = (name, value) => (typeof value === 'number' ? `number ${value}` : value)

function describe(value) {
  let text = null
  try {
    text = String(value)
  } catch {
    // An object with a property toString, or one that inherits from null.
  }
  return [JSON.stringify(value), JSON.stringify(value, numbersAsText), text]
}

const texts = JSON.parse(readFileSync(0, 'utf8'))
const described = texts.map((text) => {
  const value = parse(Buffer.from(text, 'base64').toString())
  return value === undefined ? [null, null, null] : describe(value)
})
process.stdout.write(JSON.stringify(described))
