// Package ecr is one account's private registry in one region, and ECR's JSON API over it.
package ecr

import (
	"slices"
	"sort"
	"sync"
	"time"

	"imagecache.dev/test/awsemulator/clock"
	"imagecache.dev/test/awsemulator/internal/blob"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// Binder checks the principals of a repository policy and ties them to the roles of today.
type Binder interface {
	BindPrincipals(*policy.Document) (*policy.Document, error)
}

// Keys are the account's KMS keys. For lets a service use a key in the caller's name, and returns the key's ARN.
type Keys interface {
	For(c *caller.Caller, service, id string) (string, error)
}

// Settings are the registry's place and what a test may turn.
type Settings struct {
	Account, Region string
	Host            string // of repository URIs
	URL             string // of layer downloads
	ProxyEndpoint   string // what GetAuthorizationToken says that a password is for
	Clock           *clock.Clock
	Binder          Binder
	Keys            Keys

	// PolicyDelay is how long a change of a repository policy takes to act.
	PolicyDelay time.Duration
	// ConsistencyDelay is how long reads do not see a new repository or image.
	ConsistencyDelay time.Duration
	// LifecycleEvery is how often lifecycle policies are applied; 0: once a day of the emulator's clock.
	LifecycleEvery time.Duration
	// PasswordOutlivesSession: a registry password works for its 12 hours, even after the session that asked for it ran out.
	PasswordOutlivesSession bool
}

// Registry is the store behind the API and the distribution protocol. It is safe for concurrent use.
type Registry struct {
	settings Settings
	blobs    *blob.Store

	mu         sync.RWMutex
	repos      map[string]*repository
	names      []string // sorted
	uploads    map[string]*upload
	downloads  map[string]download
	swept      time.Time
	exclusions map[string]time.Time         // role ARN → when registered
	policyText string                       // of the registry
	mounting   bool                         // layers of other repositories
	scanning   *registryScanning            // nil: each repository's own setting
	templates  map[string]*creationTemplate // by prefix

	replication []replicationRule
	peers       map[string]*Registry // of the account's other regions

	passwords passwords
}

type repository struct {
	name, arn  string
	created    time.Time
	mutability string
	filters    []exclusionFilter
	encryption *encryption
	scanOnPush bool
	tags       map[string]string
	lifecycle  *lifecyclePolicy
	preview    *lifecyclePreview

	policyText string
	policies   []policyAt // history, oldest first
	pruned     bool       // the first of policies acts already, whatever an older reading of the clock says

	images   map[string]*image // by digest
	order    []*image          // by digest, with gaps: images that are gone
	gaps     int
	parents  map[string]int // digest → indexes that name it
	tagged   map[string]*image
	tagOrder []string // with gaps: tags that are gone
	tagGaps  int
	archived int // images
	layers   map[string]*layer
	lost     map[string]int // digest → images that name a layer that is not there any more
}

type policyAt struct {
	at  time.Time
	doc *policy.Document // nil: none
}

type layer struct {
	blob     *blob.Blob
	uploaded time.Time
	refs     int  // images that name it
	again    bool // uploaded again while only archived images named it
}

type image struct {
	digest         string
	mediaType      string
	artifactType   string
	manifest       []byte
	size           int64
	pushed, pulled time.Time
	tags           []string // sorted
	layers         []string // digests that must be there, the configuration's too; sorted, each once
	children       []string // of an index
	subject        string
	annotations    map[string]string
	replicas       []replicaStatus
	orphaned       bool      // its subject was removed, so it goes too
	archived       time.Time // zero: active
	activated      time.Time
	scanned        time.Time // zero: never
	findings       []Finding // of a scan
	gone           bool      // removed from its repository
}

// newRepository is a repository with ECR's defaults.
func newRepository(name, arn string, now time.Time) *repository {
	return &repository{
		name: name, arn: arn, created: now, mutability: mutable,
		images: map[string]*image{}, tagged: map[string]*image{}, layers: map[string]*layer{},
	}
}

// New makes an empty registry.
func New(s Settings) *Registry {
	if s.LifecycleEvery == 0 {
		s.LifecycleEvery = 24 * time.Hour
	}
	return &Registry{
		settings: s, blobs: blob.NewStore(), repos: map[string]*repository{}, uploads: map[string]*upload{}, downloads: map[string]download{},
		swept: s.Clock.Now(), exclusions: map[string]time.Time{}, peers: map[string]*Registry{}, templates: map[string]*creationTemplate{},
	}
}

// Close removes what the registry keeps in files.
func (r *Registry) Close() error { return r.blobs.Close() }

// Operations is ECR's API.
func (r *Registry) Operations() map[string]wire.Operation {
	return map[string]wire.Operation{
		"CreateRepository":                  wire.Op(r.createRepository),
		"DescribeRepositories":              wire.Op(r.describeRepositories),
		"DeleteRepository":                  wire.Op(r.deleteRepository),
		"PutImageTagMutability":             wire.Op(r.putImageTagMutability),
		"PutImageScanningConfiguration":     wire.Op(r.putImageScanningConfiguration),
		"TagResource":                       wire.Op(r.tagResource),
		"UntagResource":                     wire.Op(r.untagResource),
		"ListTagsForResource":               wire.Op(r.listTagsForResource),
		"SetRepositoryPolicy":               wire.Op(r.setRepositoryPolicy),
		"GetRepositoryPolicy":               wire.Op(r.getRepositoryPolicy),
		"DeleteRepositoryPolicy":            wire.Op(r.deleteRepositoryPolicy),
		"PutLifecyclePolicy":                wire.Op(r.putLifecyclePolicy),
		"GetLifecyclePolicy":                wire.Op(r.getLifecyclePolicy),
		"DeleteLifecyclePolicy":             wire.Op(r.deleteLifecyclePolicy),
		"PutImage":                          wire.Op(r.putImage),
		"BatchGetImage":                     wire.Op(r.batchGetImage),
		"DescribeImages":                    wire.Op(r.describeImages),
		"ListImages":                        wire.Op(r.listImages),
		"ListImageReferrers":                wire.Op(r.listImageReferrers),
		"BatchDeleteImage":                  wire.Op(r.batchDeleteImage),
		"UpdateImageStorageClass":           wire.Op(r.updateImageStorageClass),
		"BatchCheckLayerAvailability":       wire.Op(r.batchCheckLayerAvailability),
		"GetDownloadUrlForLayer":            wire.Op(r.getDownloadURLForLayer),
		"InitiateLayerUpload":               wire.Op(r.initiateLayerUpload),
		"UploadLayerPart":                   wire.Op(r.uploadLayerPart),
		"CompleteLayerUpload":               wire.Op(r.completeLayerUpload),
		"GetAuthorizationToken":             wire.Op(r.getAuthorizationToken),
		"RegisterPullTimeUpdateExclusion":   wire.Op(r.registerPullTimeUpdateExclusion),
		"DeregisterPullTimeUpdateExclusion": wire.Op(r.deregisterPullTimeUpdateExclusion),
		"ListPullTimeUpdateExclusions":      wire.Op(r.listPullTimeUpdateExclusions),
		"StartLifecyclePolicyPreview":       wire.Op(r.startLifecyclePolicyPreview),
		"GetLifecyclePolicyPreview":         wire.Op(r.getLifecyclePolicyPreview),
		"DescribeRegistry":                  wire.Op(r.describeRegistry),
		"PutReplicationConfiguration":       wire.Op(r.putReplicationConfiguration),
		"DescribeImageReplicationStatus":    wire.Op(r.describeImageReplicationStatus),
		"StartReplicationBackfill":          wire.Op(r.startReplicationBackfill),
		"PutRegistryPolicy":                 wire.Op(r.putRegistryPolicy),
		"GetRegistryPolicy":                 wire.Op(r.getRegistryPolicy),
		"DeleteRegistryPolicy":              wire.Op(r.deleteRegistryPolicy),
		"StartImageScan":                    wire.Op(r.startImageScan),
		"DescribeImageScanFindings":         wire.Op(r.describeImageScanFindings),
		"PutAccountSetting":                 wire.Op(r.putAccountSetting),
		"GetAccountSetting":                 wire.Op(r.getAccountSetting),

		"CreateRepositoryCreationTemplate":    wire.Op(r.createCreationTemplate),
		"UpdateRepositoryCreationTemplate":    wire.Op(r.updateCreationTemplate),
		"DescribeRepositoryCreationTemplates": wire.Op(r.describeCreationTemplates),
		"DeleteRepositoryCreationTemplate":    wire.Op(r.deleteCreationTemplate),

		"PutRegistryScanningConfiguration":        wire.Op(r.putRegistryScanning),
		"GetRegistryScanningConfiguration":        wire.Op(r.getRegistryScanning),
		"BatchGetRepositoryScanningConfiguration": wire.Op(r.batchGetRepositoryScanning),
	}
}

// TargetPrefix is the first part of the X-Amz-Target header.
const TargetPrefix = "AmazonEC2ContainerRegistry_V20150921"

func (r *Registry) arn(name string) string {
	return "arn:aws:ecr:" + r.settings.Region + ":" + r.settings.Account + ":repository/" + name
}

// access is what one operation on one repository asks for. Callers hold a lock.
func (r *Registry) authorize(c *caller.Caller, action, name string, more map[string][]string) error {
	a := caller.Access{Action: "ecr:" + action, Resource: r.arn(name), Context: more}
	if repo := r.repos[name]; repo != nil {
		a.ResourcePolicy = repo.policy(c.Now, r.settings.PolicyDelay)
		ctx := tag.Resource(repo.tags, "aws", "ecr")
		ctx.Merge(more)
		a.Context = ctx
	}
	return c.Authorize(a)
}

// policy is the repository policy as it acts now.
func (p *repository) policy(now time.Time, delay time.Duration) *policy.Document {
	for i := len(p.policies) - 1; i >= 0; i-- {
		if !p.policies[i].at.Add(delay).After(now) {
			return p.policies[i].doc
		}
	}
	if p.pruned {
		return p.policies[0].doc
	}
	return nil
}

func (p *repository) setPolicy(now time.Time, delay time.Duration, doc *policy.Document) {
	p.policies = append(p.policies, policyAt{now, doc})
	for len(p.policies) > 1 && !p.policies[1].at.Add(delay).After(now) {
		p.policies, p.pruned = p.policies[1:], true
	}
}

// open authorises an action on a repository and finds it: ECR refuses before it says whether there is such a repository.
// Callers hold a lock.
func (r *Registry) open(c *caller.Caller, action, registryID, name string) (*repository, error) {
	if err := checkRepositoryName(name); err != nil {
		return nil, err
	}
	if err := r.checkRegistry(c, action, registryID, name); err != nil {
		return nil, err
	}
	if err := r.authorize(c, action, name, nil); err != nil {
		return nil, err
	}
	repo := r.repos[name]
	if repo == nil {
		return nil, repositoryNotFound(name, r.settings.Account)
	}
	return repo, nil
}

// read is open for operations that may not see what is new yet.
func (r *Registry) read(c *caller.Caller, action, registryID, name string) (*repository, error) {
	repo, err := r.open(c, action, registryID, name)
	if err != nil {
		return nil, err
	}
	if !r.visible(c.Now, repo.created) {
		return nil, repositoryNotFound(name, r.settings.Account)
	}
	return repo, nil
}

func (r *Registry) visible(now, since time.Time) bool {
	return r.settings.ConsistencyDelay == 0 || !since.Add(r.settings.ConsistencyDelay).After(now)
}

func (r *Registry) addName(name string) {
	i := sort.SearchStrings(r.names, name)
	r.names = slices.Insert(r.names, i, name)
}

func (r *Registry) dropName(name string) {
	if i := sort.SearchStrings(r.names, name); i < len(r.names) && r.names[i] == name {
		r.names = slices.Delete(r.names, i, i+1)
	}
}

// epoch is a time as JSON 1.1 has it: seconds with a fraction.
type epoch time.Time

func (e epoch) MarshalJSON() ([]byte, error) {
	t := time.Time(e)
	out := make([]byte, 0, 16)
	out = appendInt(out, t.Unix())
	if ms := t.Nanosecond() / 1e6; ms != 0 {
		out = append(out, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return out, nil
}

func epochOf(t time.Time) *epoch {
	if t.IsZero() {
		return nil
	}
	e := epoch(t)
	return &e
}
