// Package controllers sets up the reconcilers of the cache with a manager. Each reconciler is a package below this
// one: controller.go holds the order of its steps, plan.go its decisions and status.go its status. Plans and statuses
// are pure. Reconcilers don't import each other; what several need is a package of its own. Only package outcome
// turns the end of a pass into a result.
package controllers
