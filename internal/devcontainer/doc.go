// Package devcontainer finds and reads dev container configurations the way the
// reference implementation (github.com/devcontainers/cli) does, without an
// engine and without ever reading a byte outside of the workspace.
//
//	Find(workspace, configPath)  which configuration a workspace uses
//	List(workspace)              every configuration that a workspace has
//	Load(workspace, configPath)  finds, reads and resolves one configuration
//	Source{…}.Load()             the same with another environment
//	Locate(workspace, configPath)  finds one configuration, and reads nothing
//	Parse(devcontainerJSON)      reads contents alone, without a workspace
//	ReadFile(root, name, limit)  one bounded, regular, unchanging file
//
// All paths that leave this package are relative to the workspace, with
// slashes. Every file is opened through an os.Root, so neither ".." nor a
// symbolic link leads out of the workspace; what leads out is an error and is
// never skipped.
//
// The format is specified at https://containers.dev/implementors/json_reference/.
// Where specification and reference implementation differ, what
// "devcontainer build" does is followed, because that is what makes the image.
package devcontainer
