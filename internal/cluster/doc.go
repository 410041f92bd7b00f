// Package cluster is the runner's side of the Kubernetes API: it creates a request, follows its status, renews the
// builder's Lease, writes reports and reads credentials. It decides nothing; package runner does.
//
//	NewClient                a client for the kinds that a runner uses
//	FindProject              a project's cache by name or ID
//	Create, Get              a request, a DevcontainerImage
//	Follow                   the request's status, as it changes
//	Renew                    the builder's Lease, until it is stopped, released or lost
//	Reporter                 reports in the request's spec
//	CredentialSecret         a Docker configuration in a Secret
//	Describe, IsAbsent       what went wrong, as a sentence
//
// Where a call fails in a way that may pass, the functions try again until their context ends; FindProject tries once.
package cluster
