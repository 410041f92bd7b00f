package ecr

import (
	"slices"
	"sort"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/tag"
)

type encryption struct {
	EncryptionType string `json:"encryptionType"`
	KmsKey         string `json:"kmsKey,omitempty"`
}

type scanning struct {
	ScanOnPush bool `json:"scanOnPush"`
}

type repositoryJSON struct {
	RepositoryARN      string            `json:"repositoryArn"`
	RegistryID         string            `json:"registryId"`
	RepositoryName     string            `json:"repositoryName"`
	RepositoryURI      string            `json:"repositoryUri"`
	CreatedAt          *epoch            `json:"createdAt,omitempty"`
	ImageTagMutability string            `json:"imageTagMutability"`
	Filters            []exclusionFilter `json:"imageTagMutabilityExclusionFilters,omitempty"`
	Scanning           scanning          `json:"imageScanningConfiguration"`
	Encryption         encryption        `json:"encryptionConfiguration"`
}

func (r *Registry) json(p *repository) repositoryJSON {
	frequency, _ := r.frequency(p)
	out := repositoryJSON{
		RepositoryARN: p.arn, RegistryID: r.settings.Account, RepositoryName: p.name, RepositoryURI: r.settings.Host + "/" + p.name,
		CreatedAt: epochOf(p.created), ImageTagMutability: p.mutability, Filters: p.filters, Scanning: scanning{frequency == scanOnPush},
		Encryption: encryption{EncryptionType: "AES256"},
	}
	if p.encryption != nil {
		out.Encryption = *p.encryption
	}
	return out
}

type repositoryOut struct {
	Repository repositoryJSON `json:"repository"`
}

// jsonTag is a tag as ECR writes it: Key and Value begin with capitals there too.
type jsonTags = []tag.Tag

type createRepositoryIn struct {
	RegistryID         string            `json:"registryId"`
	RepositoryName     string            `json:"repositoryName"`
	Tags               jsonTags          `json:"tags"`
	ImageTagMutability string            `json:"imageTagMutability"`
	Filters            []exclusionFilter `json:"imageTagMutabilityExclusionFilters"`
	Scanning           scanning          `json:"imageScanningConfiguration"`
	Encryption         *encryption       `json:"encryptionConfiguration"`
}

func (r *Registry) createRepository(c *caller.Caller, in *createRepositoryIn) (*repositoryOut, error) {
	if err := checkRepositoryName(in.RepositoryName); err != nil {
		return nil, err
	}
	if err := r.checkRegistry(c, "CreateRepository", in.RegistryID, in.RepositoryName); err != nil {
		return nil, err
	}
	if in.ImageTagMutability == "" {
		in.ImageTagMutability = mutable
	}
	if err := checkMutability(in.ImageTagMutability, in.Filters); err != nil {
		return nil, err
	}
	if err := r.checkEncryption(in.Encryption); err != nil {
		return nil, err
	}
	if err := tag.Check(in.Tags); err != nil {
		return nil, apierror.New("InvalidTagParameterException", "Invalid parameter at 'tags' failed to satisfy constraint: '%s'", err)
	}
	tags, err := tag.Merge(nil, in.Tags)
	if err != nil {
		return nil, apierror.New("TooManyTagsException", "%s", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	requested := tag.Requested(in.Tags)
	// A repository that is to be made has no policy and no tags yet, even where one of that name exists.
	access := caller.Access{Resource: r.arn(in.RepositoryName), Context: requested}
	for _, action := range []string{"CreateRepository", "TagResource"} {
		if action == "TagResource" && len(in.Tags) == 0 {
			continue
		}
		access.Action = "ecr:" + action
		if err := c.Authorize(access); err != nil {
			return nil, err
		}
	}
	if r.repos[in.RepositoryName] != nil {
		return nil, apierror.New("RepositoryAlreadyExistsException",
			"The repository with name '%s' already exists in the registry with id '%s'", in.RepositoryName, r.settings.Account)
	}
	if len(r.repos) >= maxRepositories {
		return nil, apierror.New("LimitExceededException", "The registry with id '%s' already has the maximum of %d repositories", r.settings.Account, maxRepositories)
	}
	if err := r.useKey(c, in.Encryption); err != nil {
		return nil, err
	}
	p := newRepository(in.RepositoryName, r.arn(in.RepositoryName), c.Now)
	p.mutability, p.filters, p.encryption, p.scanOnPush, p.tags = in.ImageTagMutability, in.Filters, in.Encryption, in.Scanning.ScanOnPush, tags
	r.repos[p.name] = p
	r.addName(p.name)
	return &repositoryOut{r.json(p)}, nil
}

func (r *Registry) checkEncryption(e *encryption) error {
	if e == nil {
		return nil
	}
	switch e.EncryptionType {
	case "AES256":
		if e.KmsKey != "" {
			return invalid("Invalid parameter at 'encryptionConfiguration' failed to satisfy constraint: 'kmsKey is for encryption type KMS'")
		}
	case "KMS", "KMS_DSSE":
		if e.KmsKey == "" {
			e.KmsKey = r.ownKey()
		}
		if len(e.KmsKey) > 2048 {
			return invalid("Invalid parameter at 'kmsKey' failed to satisfy constraint: 'must have length less than or equal to 2048'")
		}
	default:
		return invalid("Invalid parameter at 'encryptionType' failed to satisfy constraint: 'must be one of AES256, KMS, KMS_DSSE'")
	}
	return nil
}

// useKey asks KMS for the key of a repository, in the caller's name. The account's own key for ECR needs no rights.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
func (r *Registry) useKey(c *caller.Caller, e *encryption) error {
	if e == nil || e.KmsKey == "" || e.KmsKey == r.ownKey() {
		return nil
	}
	arn, err := r.settings.Keys.For(c, "ecr", e.KmsKey)
	if err == nil {
		e.KmsKey = arn
		return nil
	}
	failed := apierror.New("KmsException", "The operation failed due to a KMS exception: %s", err)
	failed.Fields = map[string]any{"kmsError": "Kms." + apierror.As(err).Code}
	return failed
}

func (r *Registry) ownKey() string {
	return "arn:aws:kms:" + r.settings.Region + ":" + r.settings.Account + ":alias/aws/ecr"
}

type describeRepositoriesIn struct {
	RegistryID      string   `json:"registryId"`
	RepositoryNames []string `json:"repositoryNames"`
	NextToken       string   `json:"nextToken"`
	MaxResults      *int     `json:"maxResults"`
}

type describeRepositoriesOut struct {
	Repositories []repositoryJSON `json:"repositories"`
	NextToken    string           `json:"nextToken,omitempty"`
}

func (r *Registry) describeRepositories(c *caller.Caller, in *describeRepositoriesIn) (*describeRepositoriesOut, error) {
	size, err := pageSize(in.MaxResults, in.NextToken, len(in.RepositoryNames) > 0, "repositoryNames")
	if err != nil {
		return nil, err
	}
	if len(in.RepositoryNames) > maxIDs {
		return nil, invalid("Invalid parameter at 'repositoryNames' failed to satisfy constraint: 'must have length less than or equal to %d'", maxIDs)
	}
	out := &describeRepositoriesOut{Repositories: []repositoryJSON{}}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(in.RepositoryNames) > 0 {
		for _, name := range in.RepositoryNames {
			p, err := r.read(c, "DescribeRepositories", in.RegistryID, name)
			if err != nil {
				return nil, err
			}
			out.Repositories = append(out.Repositories, r.json(p))
		}
		return out, nil
	}
	if err := r.checkRegistry(c, "DescribeRepositories", in.RegistryID, "*"); err != nil {
		return nil, err
	}
	if err := c.Authorize(caller.Access{Action: "ecr:DescribeRepositories", Resource: r.arn("*")}); err != nil {
		return nil, err
	}
	names, next, err := page.Cut(r.names, func(s string) string { return s }, in.NextToken, size)
	if err != nil {
		return nil, invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this operation'")
	}
	for _, name := range names {
		if p := r.repos[name]; r.visible(c.Now, p.created) {
			out.Repositories = append(out.Repositories, r.json(p))
		}
	}
	out.NextToken = next
	return out, nil
}

type deleteRepositoryIn struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	Force          bool   `json:"force"`
}

func (r *Registry) deleteRepository(c *caller.Caller, in *deleteRepositoryIn) (*repositoryOut, error) {
	out, orphans, err := r.removeRepository(c, in)
	cancel(orphans)
	return out, err
}

// removeRepository also returns the uploads that it cut off, to be cancelled once the lock is free.
func (r *Registry) removeRepository(c *caller.Caller, in *deleteRepositoryIn) (*repositoryOut, []*upload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "DeleteRepository", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, nil, err
	}
	if len(p.images) > 0 && !in.Force {
		return nil, nil, apierror.New("RepositoryNotEmptyException",
			"The repository with name '%s' in registry with id '%s' cannot be deleted because it still contains images", p.name, r.settings.Account)
	}
	for _, l := range p.layers {
		r.blobs.Release(l.blob)
	}
	delete(r.repos, p.name)
	r.dropName(p.name)
	return &repositoryOut{r.json(p)}, r.forget(func(u *upload) bool { return u.repo == p }), nil
}

// Catalog lists at most size names of repositories after one, sorted, and says whether there are more.
func (r *Registry) Catalog(c *caller.Caller, after string, size int) (names []string, more bool, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if err := c.Authorize(caller.Access{Action: "ecr:DescribeRepositories", Resource: r.arn("*")}); err != nil {
		return nil, false, err
	}
	names = []string{}
	i, found := slices.BinarySearch(r.names, after)
	if found {
		i++
	}
	for _, name := range r.names[i:] {
		if !r.visible(c.Now, r.repos[name].created) {
			continue
		}
		if len(names) == size {
			return names, true, nil
		}
		names = append(names, name)
	}
	return names, false, nil
}

// Tagged is a resource with its tags, for Resource Groups Tagging.
type Tagged struct {
	ARN  string
	Tags map[string]string
}

// Tagged lists the repositories that have a tag, or had one, by ARN.
func (r *Registry) Tagged() []Tagged {
	now := r.settings.Clock.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]Tagged, 0, len(r.names))
	for _, name := range r.names {
		p := r.repos[name]
		if p.tags != nil && r.visible(now, p.created) {
			out = append(out, Tagged{p.arn, p.tags})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ARN < out[j].ARN })
	return out
}
