// Package gate decides which HTTP requests reach the dashboard. It keeps other websites (cross-site requests, DNS
// rebinding), other programs on the machine, and unauthenticated callers out.
//
//	Headers     what every answer says: a strict Content-Security-Policy among others
//	SameOrigin  refuses requests that another website caused
//	Loopback    on a person's machine: one host, one token, one cookie
//	Callers     in the cluster: the caller's own token, checked by the API server
package gate
