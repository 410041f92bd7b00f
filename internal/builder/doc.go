// Package builder builds dev container images with the reference
// implementation (github.com/devcontainers/cli) over the container engine that
// a machine has, and moves images between that engine and files.
//
//	Find(ctx, "")        the engine of this machine: docker, else podman
//	Find(ctx, "podman")  that one, or an error that says what is missing
//	Engine.Ready         nil if it can build; a hit needs Pull only, and no reference CLI
//	Engine.Build         devcontainer build
//	Engine.Save          image → files, each layer compressed once
//	Engine.Load, Pull, Tag, Remove
//	Containers.Up        devcontainer up
//
// An Engine is safe for concurrent use, also by several processes: where two
// builds in one image store would mix, a file lock lets one wait. Engines
// take their settings from their own environment variables and files;
// docs/builders.md says what is passed to them.
package builder
