/** What the servers under test accept as their audience. */
export const TEST_AUDIENCE = 'did:web:mls.example.com'
/** What their tokens are signed with. */
export const TEST_SECRET = 'a secret that only tests know, 32+'
