package decision

import "time"

// Steps that several reasons share.
var (
	enCheckStatus = steps{
		"Open the device management app of your company, select this device and check its status.",
		Windows: "Open Company Portal, select this device and choose \"Check access\".",
		MacOS:   "Open Company Portal, select this device and choose \"Check status\".",
		IOS:     "Open Company Portal, tap Devices, then this device, then \"Check status\".",
		Android: "Open Company Portal, tap this device, then \"Check device settings\".",
		Linux:   "Open the Microsoft Intune app, select this device and refresh its status.",
	}
	enEnrol = steps{
		"Enrol this device with your company's device management. IT can tell you how.",
		Windows: "Open Settings > Accounts > Access work or school, choose Connect and sign in with your work account.",
		MacOS:   "Install Company Portal, open it, sign in with your work account and follow the steps to set up this Mac.",
		IOS:     "Install Company Portal from the App Store, sign in with your work account and follow the steps.",
		Android: "Install Company Portal from Google Play, sign in with your work account and follow the steps.",
		Linux:   "Install the Microsoft Intune app, sign in with your work account and register this device.",
	}
	enEncrypt = steps{
		"Turn on disk encryption in the settings of your device and keep it on power until it has finished.",
		Windows: "Open Settings, search for \"BitLocker\" or \"Device encryption\" and turn it on. Keep the device on power until it has finished.",
		MacOS:   "Open System Settings > Privacy & Security > FileVault and turn it on. Keep the Mac on power until it has finished.",
		IOS:     "Open Settings > Face ID & Passcode (or Touch ID & Passcode) and turn the passcode on. That encrypts the device.",
		Android: "Open Settings > Security, set a screen lock and turn on encryption if it is offered.",
		Linux:   "The disk must be encrypted with LUKS, which is set up when Linux is installed. Ask IT before you reinstall.",
	}
	enUpdate = steps{
		"Install all updates for your operating system, then restart the device.",
		Windows:  "Open Settings > Windows Update, choose \"Check for updates\", install everything and restart.",
		MacOS:    "Open System Settings > General > Software Update, install everything and restart.",
		IOS:      "Open Settings > General > Software Update and install the update.",
		Android:  "Open Settings > System > Software update (on some devices: Software update) and install the update.",
		Linux:    "Install all updates with your package manager (for example: sudo apt update && sudo apt full-upgrade), then restart.",
		ChromeOS: "Open Settings > About ChromeOS, choose \"Check for updates\", then restart.",
	}
	enScan = steps{
		"Run a full scan with your virus protection, follow its advice and restart. Do not open files or links that you do not trust.",
		Windows: "Open Windows Security > Virus & threat protection, run a full scan, follow its advice and restart.",
		MacOS:   "Open Microsoft Defender, run a full scan, follow its advice and restart.",
		IOS:     "Open Microsoft Defender, follow its advice and remove apps or profiles that you do not know.",
		Android: "Open Microsoft Defender, run a scan and remove the apps that it names.",
	}
	enAskIT      = steps{"Contact IT and give them the incident ID."}
	enTryLater   = steps{"Wait a moment and try again. If it goes on, contact IT and give them the incident ID."}
	enOpenAgain  = steps{"Go back and open the page again. If you followed a link, tell its owner that it does not work."}
	enDeviceSign = steps{
		"Use your work device and sign in to its browser with your work account. If you are asked for a certificate, choose your company's.",
		Windows: "Use your work PC with Edge, or another browser that is signed in with your work account. If you are asked for a certificate, choose your company's.",
		IOS:     "Use Safari or Edge on your work device. If you are asked for a certificate, choose your company's.",
		Android: "Use Edge or Chrome inside your work profile. If you are asked for a certificate, choose your company's.",
	}
	enUnroot = steps{
		"Reset the device to its original software, set it up again and enrol it.",
		IOS:     "Back up your data, restore the device with a computer to the original iOS, set it up again and enrol it.",
		Android: "Back up your data, reset the device to its original software, lock the boot loader again and enrol it.",
	}
)

var english = language{
	date:    func(t time.Time) string { return t.Format("2 January 2006, 15:04 UTC") },
	more:    " and {0} more",
	openApp: "Open {0} on this device and do what it asks for.",
	managers: [numManagers]manager{
		ManagerIntune: {
			steps{"Company Portal", Linux: "Microsoft Intune"},
			"Microsoft Intune manages this device.", enCheckStatus,
		},
		ManagerConfigMgr: {
			steps{"Software Center"},
			"Configuration Manager manages this device.",
			steps{"Open Software Center > Device compliance and choose \"Check compliance\"."},
		},
		ManagerPartner: {
			steps{},
			"Your company's device management looks after this device.",
			steps{"Open your company's device management app on this device and do what it asks for."},
		},
	},
	phrases: [NumReasons]phrase{
		MalformedRequest:     {"The request was not well formed.", "", enOpenAgain},
		AmbiguousCredentials: {"The request carried more than one sign-in.", "", steps{"Close all browser windows, open the page again and sign in once."}},
		PathNotAllowed:       {"The address holds characters that are not allowed.", "", enOpenAgain},
		MethodNotAllowed:     {"This kind of request is not allowed here.", "", enOpenAgain},
		OriginNotAllowed:     {"The request came from a website that may not use this one.", "", steps{"Open this website directly instead of from the other one."}},
		PreflightNotAllowed:  {"Another website may not call this one.", "", enAskIT},
		EarlyData:            {"The request was sent before the connection was fully secured.", "", steps{"Try again."}},
		MisdirectedRequest:   {"The request reached the wrong website on this server.", "", steps{"Close the browser, then open the page again."}},

		InvalidToken:              {"Your sign-in is not valid or has expired.", "", steps{"Sign out of the app, then sign in again."}},
		CertificateInvalid:        {"The certificate of this device cannot be accepted: it has expired, was withdrawn or is of the wrong kind.", "", steps{"Ask IT for a new device certificate."}},
		KeysUnavailable:           {"Your sign-in could not be checked right now.", "", enTryLater},
		RevocationListUnavailable: {"The certificate of this device could not be checked right now.", "", enTryLater},

		SignInRequired:   {"You are not signed in.", "", steps{"Sign in with your work account."}},
		GroupMissing:     {"Your account is not in a group that may use this page.", "Your account is not in a group that may use this page. Any of these is enough: {0}.", steps{"Ask IT or the owner of this page for access."}},
		GroupsUnknown:    {"We could not tell which groups your account belongs to.", "", enAskIT},
		ClientNotAllowed: {"The app that you use may not open this page.", "The app {0} may not open this page.", steps{"Use the app that your company provides, or ask IT to allow this one."}},
		UserRiskTooHigh:  {"Something about your account looks unsafe.", "", steps{"Change your password and sign in again. If you did not expect this, contact IT."}},
		NotOwner:         {"This device is registered to somebody else.", "", steps{"Use your own work device. If this one is yours now, ask IT to register it to you."}},

		Revoked:           {"Access was withdrawn.", "", enAskIT},
		UserDisabled:      {"Your account is disabled.", "", enAskIT},
		UserCompromised:   {"Your account is locked because somebody else may have used it.", "", steps{"Contact IT now, by phone if you can, and give them the incident ID."}},
		DeviceDisabled:    {"This device is disabled in the company directory.", "", enAskIT},
		DeviceRetired:     {"This device is being taken out of use.", "", steps{"Use another work device. If this is a mistake, contact IT."}},
		Jailbroken:        {"The protection of this device's operating system has been removed.", "", enUnroot},
		DeviceCompromised: {"This device may be under the control of an attacker.", "", steps{"Disconnect this device from the network and contact IT now, by phone if you can."}},

		DeviceUnidentified: {"We could not tell which device you are using.", "", enDeviceSign},
		DeviceUnknown:      {"Device management does not know this device.", "", enEnrol},
		DeviceAmbiguous:    {"The IDs of this device belong to more than one device.", "", enAskIT},
		NotManaged:         {"Your company does not manage this device.", "", enEnrol},
		Noncompliant:       {"This device does not meet your company's rules.", "This device does not meet your company's rules. Settings to fix: {0}.", enCheckStatus},
		GracePeriod:        {"This device does not meet your company's rules. You can still use it for a short time.", "This device does not meet your company's rules. You can still use it until {0}.", enCheckStatus},
		GraceExpired:       {"The time to bring this device in line with your company's rules is over.", "The time to bring this device in line with your company's rules ended on {0}.", enCheckStatus},
		NotEncrypted:       {"The storage of this device is not encrypted.", "", enEncrypt},
		NotUpdated:         {"Updates are missing on this device.", "", enUpdate},
		MalwareActive:      {"Harmful software is active on this device.", "", enScan},
		RiskTooHigh:        {"A threat was found on this device.", "", enScan},
		OSTooOld:           {"The operating system of this device is too old.", "{0} is too old. At least {1} is needed.", enUpdate},
		OSNotAllowed:       {"This kind of device may not be used here.", "{0} devices may not be used here.", steps{"Use another work device, or ask IT which ones are allowed."}},
		TrustMissing:       {"This device is not joined to the company directory in the way that is needed.", "", steps{"Use a device that your company set up, or ask IT to join this one."}},
		NotCorporate:       {"This is a personal device. Only devices that your company owns are allowed.", "", steps{"Use a device that your company owns. If this is one, ask IT to mark it as such."}},
		CheckInTooOld:      {"This device has not reported to device management for too long.", "This device last reported to device management on {0}. That is too long ago.", enCheckStatus},
		ProofTooWeak:       {"This device did not prove its identity strongly enough.", "", steps{"Ask IT for a device certificate. If your browser asks for a certificate, choose your company's."}},
		NetworkNotAllowed:  {"This page cannot be opened from your network.", "", steps{"Connect to the company network or VPN, then try again."}},
		ExpressionFailed:   {"A rule of your company for this page is not met.", "{0}", enAskIT},
		FactUnknown:        {"Something that we need to know about this device is not reported.", "We could not tell whether this rule is met: {0}", enAskIT},

		NotLoaded:       {"The facts about devices are still being loaded.", "", enTryLater},
		VerdictExpired:  {"What we know about this device is too old to rely on.", "", enTryLater},
		SourceFailing:   {"The device management service is not answering.", "", enTryLater},
		SourceThrottled: {"The device management service is busy.", "", enTryLater},
		LookupTimeout:   {"The device management service took too long to answer.", "", enTryLater},

		StepUpRequired:    {"A stronger sign-in is needed here.", "", steps{"Sign in again and confirm it, for example with your authenticator app or security key."}},
		StepUpUnavailable: {"A stronger sign-in is needed here, and this app cannot ask you for it.", "", steps{"Sign out of the app and sign in again with your authenticator app or security key. If that does not help, contact IT."}},
	},
	exact: map[Reason]map[string]string{
		Revoked: {
			"device":      "Access from this device was withdrawn.",
			"user":        "Access for your account was withdrawn.",
			"certificate": "The certificate of this device was withdrawn.",
			"session":     "Your session was ended.",
		},
		DeviceRetired: {
			"retiring": "This device is being removed from device management.",
			"wiping":   "This device is being erased.",
			"revoked":  "This device was removed from device management.",
		},
		UserRiskTooHigh: {
			"low":    "Your account has a low risk. For this page it must have none.",
			"medium": "Your account has a medium risk. That is too high for this page.",
			"high":   "Your account has a high risk. That is too high for this page.",
		},
		RiskTooHigh: {
			"low":    "A threat was found on this device. Its risk level is low, and this page allows none.",
			"medium": "A threat was found on this device. Its risk level is medium, which is too high for this page.",
			"high":   "A threat was found on this device. Its risk level is high, which is too high for this page.",
		},
		TrustMissing: {
			"joined":        "This device is joined to the cloud directory only. This page needs another kind of join.",
			"hybrid_joined": "This device is joined to the on-premises directory too. This page needs another kind of join.",
			"registered":    "This device is only registered with the company directory, not joined to it.",
			"none":          "This device is not in the company directory.",
		},
		ProofTooWeak: {
			"attested":              "Only your sign-in vouched for this device. This page needs stronger proof.",
			"token":                 "Only an app named this device. This page needs stronger proof, such as a device certificate.",
			"bound_token":           "This page needs a device certificate on the connection itself.",
			"forwarded_certificate": "This page needs a device certificate on the connection itself.",
		},
		Noncompliant: {
			"conflict": "Device management reports rules for this device that contradict each other.",
			"error":    "Device management could not apply its rules to this device.",
		},
		FactUnknown: {
			"managed":             "We could not tell whether your company manages this device.",
			"compliance":          "We could not tell whether this device meets your company's rules.",
			"not_evaluated":       "Device management has not checked this device yet.",
			"delegated_configmgr": "Configuration Manager decides about this device, and it did not report.",
			"enabled":             "We could not tell whether this device is enabled.",
			"lifecycle":           "We could not tell whether this device is in use.",
			"encrypted":           "We could not tell whether this device is encrypted.",
			"updated":             "We could not tell whether this device is up to date.",
			"jailbroken":          "We could not tell whether the operating system's protection is intact.",
			"malware":             "We could not tell whether harmful software is active on this device.",
			"risk":                "We could not tell how exposed this device is to threats.",
			"os":                  "We could not tell which operating system version this device runs.",
			"trust":               "We could not tell whether this device is joined to the company directory.",
			"ownership":           "We could not tell whether your company owns this device.",
			"owner":               "We could not tell whom this device belongs to.",
			"checked_in":          "We could not tell when this device last reported to device management.",
			"secure_boot":         "We could not tell whether secure boot is on.",
			"supervised":          "We could not tell whether this device is supervised.",
			"antivirus":           "We could not tell whether virus protection is on.",
			"firewall":            "We could not tell whether the firewall is on.",
			"apps":                "We could not tell whether the apps on this device are allowed.",
			"sensor":              "We could not tell whether the threat sensor of this device works.",
			"exposure":            "We could not tell how exposed this device is.",
			"user_enabled":        "We could not tell whether your account is enabled.",
			"user_risk":           "We could not tell whether your account is safe.",
		},
		NotLoaded:       {groupsParam: "Your account is in very many groups. We are still asking which ones."},
		VerdictExpired:  {groupsParam: "What we know about the groups of your account is too old to rely on."},
		SourceFailing:   {groupsParam: "Your account is in very many groups, and the service that knows which ones is not answering."},
		SourceThrottled: {groupsParam: "Your account is in very many groups, and the service that knows which ones is busy."},
		LookupTimeout:   {groupsParam: "Your account is in very many groups, and the service that knows which ones took too long to answer."},
	},
	topics: [numTopics]phrase{
		topicEncryption: {"Encryption", "", enEncrypt},
		topicUpdate:     {"Version of the operating system", "", enUpdate},
		topicFirewall: {"Firewall", "", steps{
			"Turn on the firewall in the settings of your device.",
			Windows: "Open Windows Security > Firewall & network protection and turn the firewall on for every network.",
			MacOS:   "Open System Settings > Network > Firewall and turn it on.",
			Linux:   "Turn on the firewall (for example: sudo ufw enable).",
		}},
		topicPassword: {"Password or PIN", "", steps{
			"Set a password or PIN that meets your company's rules.",
			Windows: "Open Settings > Accounts > Sign-in options and set a password or PIN that meets the rules.",
			MacOS:   "Open System Settings > Users & Groups and change your password.",
			IOS:     "Open Settings > Face ID & Passcode (or Touch ID & Passcode) and set a longer passcode.",
			Android: "Open Settings > Security > Screen lock and set a longer PIN or password.",
		}},
		topicAntivirus: {"Virus protection", "", steps{
			"Turn on virus protection and install its updates.",
			Windows: "Open Windows Security > Virus & threat protection, turn on real-time protection and check for updates.",
			MacOS:   "Open Microsoft Defender and turn on real-time protection.",
		}},
		topicBoot: {"Protection at start-up", "", steps{
			"Restart the device. If that does not help, IT must check its start-up settings.",
			MacOS: "Contact IT: the protection of the system must be turned on in recovery mode.",
		}},
		topicJailbreak: {"Changed operating system", "", enUnroot},
		topicThreat:    {"Threats found", "", enScan},
		topicContact:   {"Contact with device management", "", enCheckStatus},
		topicAssigned:  {"No rules assigned to this device", "", enAskIT},
		topicConfigMgr: {"Configuration Manager", "", steps{"Open Software Center > Device compliance and choose \"Check compliance\"."}},
	},
}
