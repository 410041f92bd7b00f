// Package ecr is all that the project does with Amazon ECR: images, repositories with their policies and tags, and the
// inventory that finds drift.
package ecr
