// Package dashboard serves pages that show a cache to a person: on loopback with the person's kubeconfig, or in the
// cluster with the token of each caller.
//
//	asset       scripts and styles
//	gate        which requests get in
//	access      what a viewer may see and do
//	store       one watch of each kind, for all viewers
//	record      what is kept of a request
//	timeline    what an environment waited for
//	savings     what the cache saved, by day and project
//	prometheus  the same from metrics
//	page        the pages
package dashboard
