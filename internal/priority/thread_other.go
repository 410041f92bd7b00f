//go:build !linux

package priority

// lowerThread does nothing: here only a whole process has a priority, and lowering it would hold for all that it
// starts.
func lowerThread() {}

// LeadSession does nothing: priorities hold between sessions here.
func LeadSession() {}
