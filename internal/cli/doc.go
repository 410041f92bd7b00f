// Package cli holds what all commands of imagecache share: streams, output formats, exit codes, usage errors,
// kubectl's flags for the connection to the cluster, environment variables for flags, and completion.
//
// A command is made by a function that takes the streams and returns a cobra.Command. Commands that show or change what
// a cache holds are in package cache, those that an environment runs are in cmd/imagecache.
package cli
