/** The part of the package that is used here; it has no types of its own. */
declare module 'composeverter' {
  /** The Compose Specification's schema. What it says of formats is in patterns, written like `/^a$/`. */
  export function getDockerComposeSchemaWithoutFormats(): object
}
