// Package controllers reconciles the three kinds. Each has a trio of files: _controller.go is the order of things,
// _plan.go the decisions and _status.go the status, both pure. outcome.go alone turns the end of a pass into a result.
package controllers
