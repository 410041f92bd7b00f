// Package override makes the configuration by which the reference CLI runs a container of an image that exists:
// what "devcontainer up --override-config" reads in place of the workspace's devcontainer.json. It is pure.
//
// The label devcontainer.metadata of a built image ends with an entry that holds the lifecycle commands, mounts, users
// and so on of its configuration (https://containers.dev/implementors/reference/#labels). The CLI merges that label
// with the configuration: it collects the commands of both and unites their lists. So the override leaves out what the
// label brings, beside what the image was built from.
package override
