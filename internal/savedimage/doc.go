// Package savedimage reads images that engines and image layouts keep, as images whose layers are compressed files.
package savedimage
