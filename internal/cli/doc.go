// Package cli holds what every command of imagecache needs: streams, output formats, exit codes, usage errors, kubectl's
// flags and the connection that they describe, environment variables for flags, and completion.
//
// A command is made by a function that takes the streams and returns a cobra.Command. Commands that show or change what
// a cache holds are in package cache, those that an environment runs are in cmd/imagecache.
package cli
