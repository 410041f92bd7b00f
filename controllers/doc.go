// Package controllers sets up the reconcilers of the cache with a manager. Each reconciler is a package below this one:
// controller.go is the order of its steps, plan.go its decisions and status.go its status, both pure. Reconcilers don't
// import each other; what several need is a package of its own. Package outcome alone turns the end of a pass into a
// result.
package controllers
