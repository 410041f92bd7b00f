// Reads {policies, requests} from standard input and writes what an IAM evaluator says: of each policy what is wrong with
// it, and of each request whether it is Allowed, ExplicitlyDenied or ImplicitlyDenied.
import { readFileSync } from 'node:fs'
import { validateIdentityPolicy, validateResourcePolicy, validateSessionPolicy, validateTrustPolicy } from '@cloud-copilot/iam-policy'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const validators = {
  identity: validateIdentityPolicy,
  resource: validateResourcePolicy,
  session: validateSessionPolicy,
  trust: validateTrustPolicy,
}

const input = JSON.parse(readFileSync(0, 'utf8'))
const output = { policies: {}, requests: {} }
for (const { name, kind, policy } of input.policies ?? []) {
  output.policies[name] = validators[kind](policy).map((error) => `${error.path}: ${error.message}`)
}
for (const { name, request, identity, session, resource } of input.requests ?? []) {
  const answer = await runSimulation({
    request,
    identityPolicies: [{ name: 'role', policy: identity }],
    sessionPolicy: session ?? undefined,
    resourcePolicy: resource ?? undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  }, {})
  output.requests[name] = answer.overallResult ?? `error: ${JSON.stringify(answer.errors)}`
}
process.stdout.write(JSON.stringify(output))
