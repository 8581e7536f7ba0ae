import { Ajv } from 'ajv'
import { getDockerComposeSchemaWithoutFormats } from 'composeverter'

// The package's own check reads numbers as BigInt, which its schema then refuses.
const schema = JSON.parse(JSON.stringify(getDockerComposeSchemaWithoutFormats()), (key, value) =>
  key === 'pattern' && typeof value === 'string' ? value.replace(/^\/(.*)\/$/s, '$1') : value,
)
const validate = new Ajv({ allErrors: true, strict: false, unicodeRegExp: false }).compile(schema)

/** What of a parsed Compose file the Compose Specification does not allow; empty when all is well. */
export function composeFaults(file: unknown): string[] {
  validate(file)
  return (validate.errors ?? []).map(({ instancePath, message, params }) => {
    return `${instancePath} ${message} ${JSON.stringify(params)}`
  })
}
