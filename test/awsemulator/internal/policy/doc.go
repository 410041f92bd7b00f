// Package policy parses IAM policy documents and decides requests by them, as
// AWS documents that it does. It is pure: no clock, no network, no state.
//
// The rules come from
//   - https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
//   - https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
//   - https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
//   - https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
//   - https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
//   - https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
//
// Organizations' service and resource control policies are not evaluated.
package policy
