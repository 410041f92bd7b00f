package ecr

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
)

// Occasions on which ECR itself makes a repository. CreateRepository is none of them: no template changes what it makes.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-creation-templates.html
const (
	onPush        = "CREATE_ON_PUSH"
	onReplication = "REPLICATION"
	onPullThrough = "PULL_THROUGH_CACHE"
)

// rootPrefix is the prefix of the template for repositories without another template.
const rootPrefix = "ROOT"

// creationTemplate is what repositories get that ECR makes. The role that ECR assumes for tags and keys is kept, and not assumed.
type creationTemplate struct {
	Prefix      string            `json:"prefix"`
	Description string            `json:"description,omitempty"`
	AppliedFor  []string          `json:"appliedFor"`
	Role        string            `json:"customRoleArn,omitempty"`
	Encryption  *encryption       `json:"encryptionConfiguration,omitempty"`
	Mutability  string            `json:"imageTagMutability,omitempty"`
	Filters     []exclusionFilter `json:"imageTagMutabilityExclusionFilters,omitempty"`
	Lifecycle   string            `json:"lifecyclePolicy,omitempty"`
	Policy      string            `json:"repositoryPolicy,omitempty"`
	Tags        jsonTags          `json:"resourceTags,omitempty"`
	CreatedAt   *epoch            `json:"createdAt,omitempty"`
	UpdatedAt   *epoch            `json:"updatedAt,omitempty"`
}

type creationTemplateOut struct {
	RegistryID string            `json:"registryId"`
	Template   *creationTemplate `json:"repositoryCreationTemplate"`
}

var templatePrefixPattern = regexp.MustCompile(`^((?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*/?|ROOT)$`)

func (r *Registry) checkTemplate(t *creationTemplate) error {
	if !templatePrefixPattern.MatchString(t.Prefix) || len(t.Prefix) > 256 {
		return invalid("Invalid parameter at 'prefix' failed to satisfy constraint: 'must be a repository prefix or ROOT'")
	}
	if len(t.AppliedFor) == 0 {
		return invalid("Invalid parameter at 'appliedFor' failed to satisfy constraint: 'must not be empty'")
	}
	for _, occasion := range t.AppliedFor {
		if !slices.Contains([]string{onPush, onReplication, onPullThrough}, occasion) {
			return invalid("Invalid parameter at 'appliedFor' failed to satisfy constraint: 'must be one of %s, %s, %s'", onPullThrough, onReplication, onPush)
		}
	}
	if t.Mutability == "" {
		t.Mutability = mutable
	}
	if err := checkMutability(t.Mutability, t.Filters); err != nil {
		return err
	}
	if err := r.checkEncryption(t.Encryption); err != nil {
		return err
	}
	if err := tag.Check(t.Tags); err != nil {
		return invalid("Invalid parameter at 'resourceTags' failed to satisfy constraint: '%s'", err)
	}
	if t.Role == "" && (len(t.Tags) > 0 || (t.Encryption != nil && t.Encryption.EncryptionType != "AES256")) {
		return apierror.New("ValidationException", "customRoleArn is required for resource tags and for encryption with KMS")
	}
	if t.Lifecycle != "" {
		if _, err := parseLifecycle(t.Lifecycle); err != nil {
			return invalid("Invalid parameter at 'lifecyclePolicy' failed to satisfy constraint: 'Lifecycle policy validation failure: %s'", err)
		}
	}
	if _, err := r.boundPolicy(t.Policy); err != nil {
		return invalid("Invalid parameter at 'repositoryPolicy' failed to satisfy constraint: 'Invalid repository policy provided': %s", err)
	}
	return nil
}

// boundPolicy reads a policy for repositories; empty text is none.
func (r *Registry) boundPolicy(text string) (*policy.Document, error) {
	if text == "" {
		return nil, nil
	}
	doc, err := policy.Parse(text)
	if err == nil {
		err = doc.ValidateResourceBased()
	}
	if err != nil {
		return nil, err
	}
	return r.settings.Binder.BindPrincipals(doc)
}

func (r *Registry) createCreationTemplate(c *caller.Caller, in *creationTemplate) (*creationTemplateOut, error) {
	return r.putTemplate(c, "CreateRepositoryCreationTemplate", in)
}

// updateCreationTemplate replaces what the request names, and keeps the rest.
func (r *Registry) updateCreationTemplate(c *caller.Caller, in *creationTemplate) (*creationTemplateOut, error) {
	return r.putTemplate(c, "UpdateRepositoryCreationTemplate", in)
}

func (r *Registry) putTemplate(c *caller.Caller, action string, in *creationTemplate) (*creationTemplateOut, error) {
	if err := registryAction(c, action); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.templates[in.Prefix]
	in.CreatedAt, in.UpdatedAt = epochOf(c.Now), epochOf(c.Now)
	switch updates := action == "UpdateRepositoryCreationTemplate"; {
	case updates && known == nil:
		return nil, r.noTemplate(in.Prefix)
	case updates:
		in = known.with(in)
	case known != nil:
		return nil, apierror.New("TemplateAlreadyExistsException", "The repository creation template with prefix '%s' already exists in the registry with id '%s'", in.Prefix, r.settings.Account)
	}
	if err := r.checkTemplate(in); err != nil {
		return nil, err
	}
	r.templates[in.Prefix] = in
	return &creationTemplateOut{r.settings.Account, in}, nil
}

// with returns the template with what a change names.
func (t creationTemplate) with(change *creationTemplate) *creationTemplate {
	for _, text := range []struct{ to, from *string }{
		{&t.Description, &change.Description}, {&t.Role, &change.Role}, {&t.Lifecycle, &change.Lifecycle}, {&t.Policy, &change.Policy},
	} {
		if *text.from != "" {
			*text.to = *text.from
		}
	}
	if len(change.AppliedFor) > 0 {
		t.AppliedFor = change.AppliedFor
	}
	if change.Encryption != nil {
		t.Encryption = change.Encryption
	}
	if change.Mutability != "" {
		t.Mutability, t.Filters = change.Mutability, change.Filters
	}
	if change.Tags != nil {
		t.Tags = change.Tags
	}
	t.UpdatedAt = change.UpdatedAt
	return &t
}

func (r *Registry) noTemplate(prefix string) error {
	return apierror.New("TemplateNotFoundException", "The repository creation template with prefix '%s' does not exist in the registry with id '%s'", prefix, r.settings.Account)
}

type describeTemplatesIn struct {
	Prefixes   []string `json:"prefixes"`
	NextToken  string   `json:"nextToken"`
	MaxResults *int     `json:"maxResults"`
}

type describeTemplatesOut struct {
	RegistryID string              `json:"registryId"`
	Templates  []*creationTemplate `json:"repositoryCreationTemplates"`
	NextToken  string              `json:"nextToken,omitempty"`
}

func (r *Registry) describeCreationTemplates(c *caller.Caller, in *describeTemplatesIn) (*describeTemplatesOut, error) {
	if err := registryAction(c, "DescribeRepositoryCreationTemplates"); err != nil {
		return nil, err
	}
	size, err := pageSize(in.MaxResults, in.NextToken, len(in.Prefixes) > 0, "prefixes")
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, prefix := range in.Prefixes {
		if r.templates[prefix] == nil {
			return nil, r.noTemplate(prefix)
		}
	}
	all := []*creationTemplate{}
	for prefix, t := range r.templates {
		if len(in.Prefixes) == 0 || slices.Contains(in.Prefixes, prefix) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *creationTemplate) int { return strings.Compare(a.Prefix, b.Prefix) })
	part, next, err := page.Cut(all, func(t *creationTemplate) string { return t.Prefix }, in.NextToken, size)
	if err != nil {
		return nil, invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this operation'")
	}
	return &describeTemplatesOut{r.settings.Account, part, next}, nil
}

type templatePrefixIn struct {
	Prefix string `json:"prefix"`
}

func (r *Registry) deleteCreationTemplate(c *caller.Caller, in *templatePrefixIn) (*creationTemplateOut, error) {
	if err := registryAction(c, "DeleteRepositoryCreationTemplate"); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.templates[in.Prefix]
	if t == nil {
		return nil, r.noTemplate(in.Prefix)
	}
	delete(r.templates, in.Prefix)
	return &creationTemplateOut{r.settings.Account, t}, nil
}

// template returns the template for a repository that ECR makes on an occasion, or nil. The longest prefix wins.
func (r *Registry) template(name, occasion string) *creationTemplate {
	var found *creationTemplate
	for prefix, t := range r.templates {
		if !slices.Contains(t.AppliedFor, occasion) {
			continue
		}
		if prefix != rootPrefix && !strings.HasPrefix(name, strings.TrimSuffix(prefix, "/")+"/") {
			continue
		}
		if found == nil || found.Prefix == rootPrefix || (prefix != rootPrefix && len(prefix) > len(found.Prefix)) {
			found = t
		}
	}
	return found
}

// fromTemplate makes a repository as ECR does by itself: without a template mutable, without a policy and without a key.
func (r *Registry) fromTemplate(name string, t *creationTemplate, now time.Time) (*repository, error) {
	p := newRepository(name, r.arn(name), now)
	if t != nil {
		p.mutability, p.filters, p.encryption = t.Mutability, t.Filters, t.Encryption
		p.tags, _ = tag.Merge(nil, t.Tags) // they were checked with the template
		if t.Lifecycle != "" {
			rules, err := parseLifecycle(t.Lifecycle)
			if err != nil {
				return nil, err
			}
			p.lifecycle = &lifecyclePolicy{text: t.Lifecycle, rules: rules}
		}
		doc, err := r.boundPolicy(t.Policy)
		if err != nil {
			return nil, err
		}
		if doc != nil {
			p.policyText = t.Policy
			p.setPolicy(now, r.settings.PolicyDelay, doc)
		}
	}
	r.repos[name] = p
	r.addName(name)
	return p, nil
}

// openForPush is open for the begin of a push. ECR makes a repository that does not exist where a template for CREATE_ON_PUSH matches
// its name, and who pushes may ecr:CreateRepository, as users of ECR report. Callers hold the write lock.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-creation-templates.html
func (r *Registry) openForPush(c *caller.Caller, action, registryID, name string) (*repository, error) {
	p, err := r.open(c, action, registryID, name)
	if err == nil || r.repos[name] != nil || apierror.As(err).Code != "RepositoryNotFoundException" {
		return p, err
	}
	t := r.template(name, onPush)
	if t == nil {
		return nil, err
	}
	if err := r.authorize(c, "CreateRepository", name, nil); err != nil {
		return nil, err
	}
	return r.fromTemplate(name, t, c.Now)
}
