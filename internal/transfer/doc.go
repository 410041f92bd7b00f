// Package transfer uploads the blobs of an image to a registry, and counts the bytes of images on their way.
package transfer
