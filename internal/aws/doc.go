// Package aws holds what all calls to AWS have in common: the SDK's configuration, one set of clients for each account,
// region and role, a rate limit of its own for each operation, metrics, a deadline, and the classes of errors. The
// types of the SDK stop at this package's siblings, which make the calls.
package aws
