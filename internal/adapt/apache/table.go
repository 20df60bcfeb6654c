package apache

// One line a directive, or several that are alike: see readTable.
const directiveTable = `
<VirtualHost> s 1+
<Directory,DirectoryMatch,Location,LocationMatch> sv 1+
<Files,FilesMatch> svd 1+
<Proxy> sv 1+
<ProxyMatch> sv 1+ ! the back ends of a regular expression are not known when millrace starts
<Limit,LimitExcept> svd 1+
<RequireAll,RequireAny,RequireNone> d 0+
<If,ElseIf> svd 1+ ! conditions are lowered from RewriteCond, Location and Files, not from Apache's expressions
<Else> svd 0+ ! conditions are lowered from RewriteCond, Location and Files, not from Apache's expressions
<AuthnProviderAlias,AuthzProviderAlias> s 2+ ! only AuthBasicProvider file is there
<Macro> svd 1+ ! macros are not expanded
<MDomainSet,MDomainSetX> s 1+ ! certificates come from certificate files, or from [site.tls.acme]

Include,IncludeOptional svd 1
Define s 1-2
UnDefine s 1
Error svd 1+
LoadModule s 2
LoadFile s 1+ = libraries are not loaded
ServerRoot s 1
Use svd 1+ ! macros are not expanded

Listen s 1-2
ListenBacklog s 1 = the system's backlog is taken
ServerName sv 1
ServerAlias v 1+
ServerAdmin sv 1 = it stands in Apache's own error pages alone
ServerPath v 1 ! it is for clients of HTTP/1.0 that send no Host
NameVirtualHost s 1 = name-based hosts need no declaration
DocumentRoot sv 1
User,Group s 1
SuexecUserGroup sv 2
PidFile s 1
ScoreBoardFile,CoreDumpDirectory,Mutex,LockFile,AcceptMutex s 1+ = there is nothing of the kind
ServerLimit,StartServers,MinSpareThreads,MaxSpareThreads,ThreadsPerChild,ThreadLimit,MinSpareServers,MaxSpareServers,MaxMemFree,ThreadStackSize,AsyncRequestWorkerFactor,ReceiveBufferSize,SendBufferSize,MaxRequestsPerChild,MaxConnectionsPerChild,GracefulShutdownTimeout s 1 = one process answers all connections
MaxRequestWorkers,MaxClients s 1
Timeout sv 1
KeepAlive sv flag
KeepAliveTimeout sv 1
MaxKeepAliveRequests sv 1 = any number of requests is answered on a connection
LimitRequestBody svd 1
LimitRequestFields,LimitRequestFieldSize,LimitRequestLine sv 1
LimitXMLRequestBody svd 1 = there is no WebDAV
LimitInternalRecursion sv 1-2 = a request begins anew at most 10 times, as with Apache's default
RLimitCPU,RLimitMEM,RLimitNPROC svd 1-2
RequestReadTimeout sv 1+
ServerTokens s 1
ServerSignature svd 1 = error pages do not name the server
HostnameLookups svd 1
UseCanonicalName svd 1
AllowOverride d 1+
AllowEncodedSlashes sv 1
AcceptPathInfo svd 1
EnableSendfile,EnableMMAP,FileETag svd 1+ = files are sent as the system does it best, and have an ETag of size and time
DefaultRuntimeDir s 1 = there is nothing of the kind
HttpProtocolOptions sv 1+
Protocols sv 1+
ProtocolsHonorOrder sv flag = HTTP/2 goes before HTTP/1.1
H2Direct,H2Upgrade,H2Push,H2MaxSessionStreams,H2WindowSize,H2MinWorkers,H2MaxWorkers,H2MaxWorkerIdleSeconds,H2StreamMaxMemSize,H2SerializeHeaders,H2ModernTLSOnly,H2TLSWarmUpSize,H2TLSCoolDownSecs,H2Padding,H2OutputBuffering svd 1+ = HTTP/2 is tuned by itself
MergeSlashes sv flag
StrictHostCheck sv flag = a host that no site names is answered by the default site
UnsetEnv svd 1+
SetEnv svd 1-2
PassEnv svd 1+
SetEnvIf,SetEnvIfNoCase svd 3+
BrowserMatch,BrowserMatchNoCase svd 2+
SetEnvIfExpr svd 2+ ! Apache's expressions are not carried over: SetEnvIf is

LogLevel svd 1+ = the error log has all of millrace's levels
ErrorLog sv 1-2
ErrorLogFormat sv 1-3 = the error log has a format of its own
CustomLog sv 2-3
TransferLog sv 1
LogFormat sv 1-2
GlobalLog s 2-3 ! each site has a log of its own: write CustomLog
CookieLog sv 1 ! write CustomLog
BufferedLogs s flag = log lines are buffered for a second
LogIOTrackTTFB,LogIOTrackTTFU,ForensicLog svd 1 = there is nothing of the kind

Options svd 1+
DirectoryIndex svd 1+
DirectorySlash svd 1
DirectoryCheckHandler svd flag = a handler that was set answers for a folder too
FallbackResource svd 1-2
IndexOptions,IndexOrderDefault svd 1+ = listings have a look of their own
IndexIgnore svd 1+
AddIcon,AddIconByEncoding,AddIconByType,AddAlt,AddAltByEncoding,AddAltByType,DefaultIcon,IndexHeadInsert,IndexStyleSheet,AddDescription,HeaderName,ReadmeName svd 1+ = listings have a look of their own

Alias svd 1-2
AliasMatch,ScriptAliasMatch sv 2
ScriptAlias svd 1-2
Redirect svd 1-3
RedirectMatch svd 1-3
RedirectPermanent,RedirectTemp svd 2
UserDir sv 1+
VirtualDocumentRoot sv 1
VirtualDocumentRootIP,VirtualScriptAliasIP sv 1 ! folders by the address of the server are not carried over

RewriteEngine svd flag
RewriteOptions svd 1+
RewriteBase d 1
RewriteCond svd 2-3
RewriteRule svd 2-3
RewriteMap sv 2-3
RewriteLog,RewriteLogLevel,RewriteLock sv 1 = rewriting is not logged step by step

AddHandler svd 2+
SetHandler svd 1-2
RemoveHandler,RemoveType svd 1+
AddType svd 2+
ForceType svd 1
TypesConfig s 1
MimeMagicFile sv 1 = types are known by extensions
AddOutputFilter svd 2+
SetOutputFilter svd 1
SetInputFilter svd 1 ! filters of requests are not carried over
AddDefaultCharset svd 1
Action,Script svd 2-3 ! a program that answers for a type of files: write SetHandler or ScriptAlias
ScriptSock,ScriptLog,ScriptLogLength,ScriptLogBuffer,CGIDScriptTimeout svd 1 = what programs write to their standard error is in the error log

AuthType,AuthName svd 1
AuthUserFile svd 1
AuthGroupFile svd 1
AuthBasicProvider svd 1+
AuthBasicFake svd 1-2 ! a made-up name and password
AuthBasicUseDigestAlgorithm svd 1-2 ! digests are refused: the passwords' hashes are not those of Basic
AuthDigestProvider,AuthDigestDomain,AuthDigestQop,AuthDigestNonceLifetime,AuthDigestAlgorithm svd 1+ ! Digest is not spoken: browsers know Basic over TLS
AuthMerging svd 1
Satisfy svd 1
Require svd 1+
Order,Allow,Deny svd 1+
AuthLDAPURL,AuthLDAPBindDN,AuthLDAPBindPassword,AuthLDAPGroupAttribute,AuthLDAPGroupAttributeIsDN svd 1+ ! users of LDAP are not carried over: use auth
AuthFormProvider,AuthFormLoginRequiredLocation,Session,SessionCookieName,SessionCryptoPassphrase,SessionEnv,SessionMaxAge svd 1+ ! forms and sessions are an app's

Header,RequestHeader svd 2+
ExpiresActive svd flag
ExpiresByType svd 2
ExpiresDefault svd 1
ErrorDocument svd 2

ProxyPass,ProxyPassMatch svd 1+
ProxyPassReverse svd 1-2
ProxyPassReverseCookieDomain,ProxyPassReverseCookiePath svd 2-3
ProxyPreserveHost,ProxyErrorOverride svd 1+
ProxyTimeout sv 1
ProxyIOBufferSize,ProxyReceiveBufferSize,ProxyMaxForwards,ProxyStatus,ProxyBadHeader sv 1 = back ends are spoken to in a way of its own
ProxySet svd 1+
ProxyFCGISetEnvIf svd 2-3 ! Apache's expressions are not carried over
ProxyRemote,ProxyRemoteMatch,ProxyBlock,NoProxy,ProxyDomain,AllowCONNECT sv 1+ ! millrace is no forward proxy
BalancerMember svd 1+
BalancerGrowth,BalancerInherit,BalancerPersist sv 1 = members are those of the file

SSLEngine sv 1
SSLCertificateFile,SSLCertificateKeyFile,SSLCertificateChainFile sv 1
SSLCACertificateFile svd 1
SSLVerifyClient svd 1
SSLVerifyDepth svd 1 = chains are followed to their root
SSLProtocol sv 1+
SSLCipherSuite svd 1-2 = the ciphers are those that are safe today
SSLHonorCipherOrder,SSLCompression,SSLSessionTickets,SSLInsecureRenegotiation,SSLStrictSNIVHostCheck,SSLUseStapling,SSLStaplingReturnResponderErrors,SSLStaplingStandardCacheTimeout sv 1 = TLS is set as is safe today
SSLSessionCache,SSLSessionCacheTimeout,SSLRandomSeed,SSLPassPhraseDialog,SSLCryptoDevice,SSLStaplingCache,SSLStaplingResponderTimeout,SSLOpenSSLConfCmd sv 1+ = TLS is set as is safe today
SSLOptions svd 1+ = the variables of TLS are always there
SSLUserName svd 1
SSLRequireSSL svd 0
SSLRequire svd 1+ ! Apache's expressions are not carried over
SSLRenegBufferSize svd 1 = connections are not renegotiated
SSLProxyVerify sv 1
SSLProxyCACertificateFile,SSLProxyMachineCertificateFile sv 1
SSLProxyProtocol,SSLProxyCipherSuite sv 1+ = TLS is set as is safe today
SSLCARevocationFile,SSLCARevocationPath,SSLCARevocationCheck sv 1 ! lists of revoked certificates are not read: give certificates short lives
MDomain,MDCertificateAgreement,MDContactEmail,MDStoreDir,MDRequireHttps,MDPrivateKeys,MDCAChallenges,MDMembers sv 1+ ! certificates come from certificate files, or from [site.tls.acme]

RemoteIPHeader,RemoteIPTrustedProxy,RemoteIPInternalProxy sv 1+
RemoteIPProxyProtocol sv flag
RemoteIPProxiesHeader sv 1 = the proxies are in X-Forwarded-For
RemoteIPProxyProtocolExceptions,RemoteIPTrustedProxyList,RemoteIPInternalProxyList sv 1+ ! name the addresses themselves with RemoteIPTrustedProxy

DeflateCompressionLevel,DeflateFilterNote,DeflateBufferSize,DeflateMemLevel,DeflateWindowSize,BrotliCompressionQuality,BrotliCompressionWindow,BrotliFilterNote sv 1+ = compression is tuned by itself
AddOutputFilterByType svd 2+
FilterDeclare,FilterProvider,FilterChain,FilterProtocol svd 1+ ! write AddOutputFilterByType DEFLATE
DeflateInflateLimitRequestBody,DeflateInflateRatioLimit,DeflateInflateRatioBurst svd 1 = bodies of requests are passed on as they come

ExtendedStatus s flag = the status always has all
SeeRequestTail s flag = the status always has all
FcgidIPCDir,FcgidProcessTableFile s 1 = processes are known without files
FcgidMaxProcesses,FcgidMaxProcessesPerClass,FcgidMinProcessesPerClass,FcgidMaxRequestsPerProcess,FcgidIdleTimeout,FcgidProcessLifeTime,FcgidIOTimeout,FcgidBusyTimeout,FcgidMaxRequestLen,MaxProcessCount,DefaultMaxClassProcessCount,DefaultMinClassProcessCount,MaxRequestLen,IPCCommTimeout,BusyTimeout,IdleTimeout,ProcessLifeTime,MaxRequestsPerProcess sv 1
FcgidIdleScanInterval,FcgidBusyScanInterval,FcgidErrorScanInterval,FcgidZombieScanInterval,FcgidSpawnScore,FcgidSpawnScoreUpLimit,FcgidTerminationScore,FcgidTimeScore,FcgidMaxRequestInMem,FcgidOutputBufferSize,FcgidWin32PreventOrphans,SpawnScore,TerminationScore,IdleScanInterval,ErrorScanInterval,BusyScanInterval,ZombieScanInterval,SocketPath,SharememPath,OutputBufferSize svd 1 = workers are started and stopped as they are needed
FcgidInitialEnv,DefaultInitEnv sv 1+
FcgidWrapper,FCGIWrapper svd 1-3
FastCgiServer,FastCgiExternalServer,FastCgiConfig,FastCgiIpcDir,FastCgiWrapper sv 1+ ! mod_fastcgi is gone: write FcgidWrapper, or SetHandler "proxy:fcgi://…"

WSGIScriptAlias sv 2+
WSGIScriptAliasMatch sv 2+
WSGIDaemonProcess sv 1+
WSGIProcessGroup svd 1
WSGIPythonHome,WSGIPythonPath s 1
WSGIPassAuthorization svd flag
WSGICallableObject svd 1
WSGISocketPrefix,WSGILazyInitialization,WSGIPythonOptimize,WSGIPythonWarnings,WSGIPythonHashSeed,WSGIPythonDontWriteBytecode,WSGIRestrictEmbedded,WSGIRestrictStdin,WSGIRestrictStdout,WSGIRestrictSignal,WSGIRestrictProcess,WSGIVerboseDebugging,WSGIDestroyInterpreter,WSGIAcceptMutex svd 1+ = workers are millrace's own
WSGIChunkedRequest,WSGIMapHEADToGET,WSGIIgnoreActivity,WSGIEnableSendfile,WSGICaseSensitivity svd 1 = it is always so here, or has no meaning
WSGIDispatchScript,WSGIAuthUserScript,WSGIAuthGroupScript,WSGIAccessScript svd 1+ ! scripts that decide for mod_wsgi: use auth
WSGIHandlerScript svd 2+ ! write WSGIScriptAlias
WSGIServerMetrics,WSGITrustedProxies,WSGITrustedProxyHeaders svd 1+ ! write RemoteIPTrustedProxy

PHPIniDir s 1
php_value,php_flag,php_admin_value,php_admin_flag svd 2
ServerType,ResourceConfig,AccessConfig s 1 = older servers had it
SecRuleEngine,SecRule,SecAction,SecRequestBodyAccess svd 1+ ! mod_security's rules are not carried over
ModPagespeed svd 1+ ! pages are sent as they are
XBitHack svd 1 ! server-side includes are not carried out
SSILegacyExprParser,SSIErrorMsg,SSITimeFormat,SSIUndefinedEcho,SSIStartTag,SSIEndTag svd 1+ ! server-side includes are not carried out
CacheEnable,CacheDisable svd 1-2 ! write cache in the route of millrace.toml: Apache's cache has other rules
CacheRoot,CacheDirLevels,CacheDirLength,CacheDefaultExpire,CacheMaxExpire,CacheIgnoreHeaders,CacheIgnoreNoLastMod,CacheLock,CacheQuickHandler,CacheStoreNoStore,CacheStorePrivate,CacheMaxFileSize,CacheMinFileSize svd 1+ = nothing is cached without CacheEnable
Dav svd 1 ! WebDAV is not served
DavLockDB,DavMinTimeout,DavDepthInfinity svd 1 ! WebDAV is not served
Substitute svd 1 ! bodies are sent as they are
ProxyHTMLEnable,ProxyHTMLURLMap,ProxyHTMLExtended svd 1+ ! bodies are sent as they are
SetOutputFilterByType svd 1+ ! write AddOutputFilterByType
BandWidthModule,SetRateLimit svd 1 ! the rate of a response is not limited

TraceEnable sv 1 = TRACE is answered by no file, and echoed by nothing
UseCanonicalPhysicalPort svd 1 = the port is the one that was asked for
AccessFileName sv 1+
AllowOverrideList d 1+ = whatever a .htaccess may say is heard
ContentDigest svd flag ? responses have no Content-MD5
QualifyRedirectURL svd flag = the place of a redirect is as it is written
RegexDefaultOptions s 1+ = expressions are RE2's, with its own defaults
DirectoryIndexRedirect svd 1 ! a folder is answered by its index, and not by a redirect to it: write RedirectMatch
IndexIgnoreReset svd flag
AliasPreservePath svd flag ? an Alias within a <Location> is not carried over: write it outside
RedirectRelative svd flag = the place of a redirect is as it is written
VirtualScriptAlias sv 1 ! programs of folders that are another for each host
DefaultType svd 1 = it has no effect since Apache 2.4
AddEncoding svd 2+
AddLanguage,DefaultLanguage svd 1+ = no language is told of files, and none is chosen: each name is one file
AddCharset svd 2+
RemoveCharset svd 1+
RemoveEncoding,RemoveLanguage svd 1+ = there is nothing to take away
LanguagePriority,ForceLanguagePriority,MultiviewsMatch svd 1+ = no language is chosen: each name is one file
CacheNegotiatedDocs svd flag = no language is chosen: each name is one file
AddInputFilter svd 2+ ! filters of requests are not carried over
RemoveInputFilter,RemoveOutputFilter svd 1+ = there is nothing to take away
ModMimeUsePathInfo svd flag ? the type of a file goes by its name, not by what follows it
ScriptInterpreterSource svd 1 = programs say themselves what runs them, in their first line
CGIPassAuth svd flag = a program is told the Authorization header only where the server asks for no password itself
CGIVar svd 2 ! the variables of CGI are those of the standard
AuthBasicAuthoritative,AuthUserFileAuthoritative svd flag = there is one file of users, which decides
AuthzSendForbiddenOnFailure svd flag ? who gives a wrong name is asked again: 401
ProxyPassInherit svd flag = what is proxied outside of the <VirtualHost> is proxied within
ProxyPassInterpolateEnv svd flag ? addresses of back ends are known when millrace starts
ProxyRequests sv flag ? millrace is no forward proxy
ProxyVia sv 1 = no Via is added
ProxyAddHeaders svd flag = back ends are told X-Forwarded-For, -Host and -Proto
ProxyFCGIBackendType svd 1 = every FastCGI program is told its script as php-fpm wants it
SSLCACertificatePath svd 1 ! roots are read from a file: write SSLCACertificateFile
SSLProxyEngine sv flag = back ends with https are spoken to over TLS
SSLProxyVerifyDepth,SSLProxyCheckPeerCN,SSLProxyCheckPeerName,SSLProxyCheckPeerExpire sv 1 = a certificate that is looked at must be for the name, and in time
FcgidConnectTimeout,IPCConnectTimeout sv 1 = a process is given a request when it is ready
FcgidCmdOptions sv 1+ ! settings of one program: make an app of it in millrace.toml
FcgidFixPathinfo,FcgidPassHeader svd 1 = programs have all headers, and PATH_INFO as the standard says
FcgidAccessCheckerAuthoritative,FcgidAuthenticatorAuthoritative,FcgidAuthorizerAuthoritative svd 1 = it is for the programs that decide who may
FcgidAccessChecker,FcgidAuthenticator,FcgidAuthorizer svd 1-2 ! write auth = { app = "NAME" } in the route of millrace.toml
WSGIApplicationGroup svd 1 = each app has interpreters of its own
WSGIScriptReloading svd flag = millrace reload loads an app anew
WSGIErrorOverride svd flag ? write error_pages_of_apps in millrace.toml
WSGIImportScript sv 2+ = an app is imported before its first request
SpellingCheck,CheckSpelling,CheckCaseOnly svd flag ? names are not guessed
CheckBasenameMatch svd flag = names are not guessed
`
