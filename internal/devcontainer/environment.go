package devcontainer

// BuilderVariables are the environment variables that a build gets from the
// builder, or not at all, whatever they are on the machine: those that would
// lead it to other places or change what it makes.
//
// TMPDIR, TMP, DOCKER_CONFIG and REGISTRY_AUTH_FILE name private folders. LC_ALL
// decides about the order of Features: https://nodejs.org/api/intl.html.
// The others are read by buildx and docker:
// https://docs.docker.com/build/building/variables/#build-tool-configuration-variables
var BuilderVariables = []string{
	"TMPDIR", "TMP", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "LC_ALL",
	"BUILDX_NO_DEFAULT_ATTESTATIONS", "BUILDX_GIT_LABELS", "BUILDX_GIT_INFO", "BUILDX_METADATA_PROVENANCE",
	"SOURCE_DATE_EPOCH", "DOCKER_DEFAULT_PLATFORM", "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY",
}
