package policy

// Limits of what a configuration may contain. They keep a mistake, or a
// generated file that ran away, from making every request slow.
const (
	maxPolicies   = 1000
	maxStepUps    = 100
	maxLines      = 256 // per policy
	maxWords      = 512 // per line
	maxWord       = 512 // bytes, except of an expression
	maxFlattened  = 512 // requirements of one policy, inherited ones included
	maxExpression = 2048
	maxErrors     = 20 // reported at once
	maxValues     = 64 // for blocks of a step_up, and values in one of its lists
)

// Line is one line of a configuration block.
type Line struct {
	// Words are the words of the line, quotes already removed.
	Words []string `json:"words"`
	// Place is where the line stands, such as "Caddyfile:12"; it begins every
	// error about the line. It may be empty.
	Place string `json:"place,omitempty"`
}

// PolicyConfig is one policy as written. The words stay as they were written:
// the JSON configuration has the same grammar as the Caddyfile.
type PolicyConfig struct {
	// Name is how routes and other policies refer to it, and a metric label:
	// letters, digits, "_", "-" and ".", at most 64 of them. "off" is reserved.
	Name  string `json:"name"`
	Place string `json:"place,omitempty"`
	Lines []Line `json:"lines"`
}

// StepUpConfig is one step_up block: a stronger sign-in and how each issuer
// does it.
type StepUpConfig struct {
	Name  string      `json:"name"`
	Place string      `json:"place,omitempty"`
	For   []StepUpFor `json:"for"`
	// MaxAge bounds the age of the sign-in, such as "12h". Empty: any age.
	MaxAge string `json:"max_age,omitempty"`
}

// StepUpFor is how one issuer does a step-up. Everything that is set must hold
// at once.
type StepUpFor struct {
	// Issuer is a configured issuer's name.
	Issuer string `json:"issuer"`
	// AuthContext is an Entra authentication context, c1 to c99, looked for in
	// the claim acrs. Only issuers with the Entra preset have it.
	AuthContext string `json:"auth_context,omitempty"`
	// ACRValues: any one of them must be the claim acr, exactly (RFC 9470).
	ACRValues []string `json:"acr_values,omitempty"`
	// AMR: any one of them must be in the claim amr (RFC 8176).
	AMR []string `json:"amr,omitempty"`
	// Attests are the requirements that the issuer checks itself before it
	// grants AuthContext, spelled like the requirement with "_" for the space:
	// managed, compliant, encrypted, updated, not_jailbroken, not_malware, risk,
	// os, trust, ownership.
	Attests []string `json:"attests,omitempty"`
	Place   string   `json:"place,omitempty"`
}

// Error is a mistake in a policy or a step-up, and where it is.
type Error struct {
	// Place is Line.Place, or that of the block; it may be empty.
	Place string
	Msg   string
}

// Error returns "Caddyfile:12: message", or the message alone without a place.
func (e *Error) Error() string {
	if e.Place == "" {
		return e.Msg
	}
	return e.Place + ": " + e.Msg
}
