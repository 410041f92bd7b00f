// Package cache holds the commands by which a person looks at a project's cache and changes it: images, projects,
// explain, evict, doctor, and hash, the name under which the cache looks an image up.
package cache
