// Package aws holds what all calls to AWS share: the SDK's configuration, one set of clients for each account, region
// and role, a rate limit for each operation, metrics, a deadline, and the classes of errors. Only this package and
// its siblings, which make the calls, use the SDK's types.
package aws
