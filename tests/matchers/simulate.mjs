// Reads [{ document, arns, now }, …] and writes, for each, what @cloud-copilot/iam-simulate makes of its requests:
// "Allowed", "ExplicitlyDenied" or "ImplicitlyDenied" for each ARN.
//
// The document is put before it as the one policy of a caller of the same account.

import { readFileSync } from 'node:fs'
import { runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

const ACCOUNT = '123456789012'

function evaluate(document, arn, now) {
  const request = {
    principal: `arn:aws:iam::${ACCOUNT}:user/caller`,
    action: 'execute-api:Invoke',
    resource: { resource: arn, accountId: ACCOUNT },
    contextVariables: { 'aws:CurrentTime': now },
  }
  const identityPolicies = [{ name: 'document', policy: document }]
  return runUnsafeSimulation(
    { request, identityPolicies, serviceControlPolicies: [], resourceControlPolicies: [] },
    {},
  )
}

const questions = JSON.parse(readFileSync(0, 'utf8'))
const answers = questions.map(({ document, arns, now }) => arns.map((arn) => evaluate(document, arn, now)))
process.stdout.write(JSON.stringify(answers))
