// Package provenance states how an image of the cache came about, signs such statements, and verifies them.
//
// A statement is an in-toto Statement v1 with a SLSA provenance v1 predicate, in a DSSE envelope, in an annotation of
// the image's manifest. The signature decides what is a hit: an image counts only if a key that is known signed a
// statement about this repository, hash and version, platform, configuration, layers and request, and about every other
// byte of the manifest.
//
// The package is pure: it makes no calls. A Signer may make some.
package provenance
