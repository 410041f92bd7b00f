// Package ecr contains all uses of Amazon ECR: images, repositories with their policies and tags, and the inventory
// that finds drift.
package ecr
