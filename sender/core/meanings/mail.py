"""What servers say about a recipient or a message."""

from __future__ import annotations

from sender.core.meanings.meaning import CONTENT, MAILBOX, RECIPIENT, SENDER, Meaning, says
from sender.core.outcome import Reason, Scope

MAIL: tuple[Meaning, ...] = (
    says(
        "relaying, by address",
        Reason.RELAY_DENIED,
        Scope.LANE,
        """
        invalid credentials .. relay, {our_address} .. registered .. relay, credentials .. relay,
        {our_address} .. relay .. not match
        """,
    ),
    says(
        "rejected by the recipient",
        Reason.POLICY,
        Scope.RECIPIENT,
        """
        rejected by recipient/recipients, refused by recipient/recipients, banned recipient*, recipient preference*,
        user preference*, recipient s preference*, user rule/rules, preferences of the recipient
        """,
    ),
    says(
        "relaying",
        Reason.RELAY_DENIED,
        Scope.RECIPIENT,
        """
        relay*, unable to relay, open relay, rcpthosts, not in my list of allowed, we do not relay, not .. gateway,
        not a local domain, not one of our domains, not our domain, not hosted here, not hosted on, no relaying,
        not handle mail for, not accept mail for, not accepting mail for .. domain, do not accept mail for,
        not responsible for, not a domain we, domain .. not served, domain not hosted, not local, not authoritative,
        no authentication .. relay, not permitted to send through, may not relay, through this server,
        via this server, non local, nonlocal, authenticate before, pop before smtp, smtp authentication, log in first,
        login first, is not a local, for external .. domain, outside .. domain, weiterleitung .. verweigert/nicht,
        relais, relaie*, retransm*, reenvio .. denegado, reencaminha*, inoltro, doorsturen, przekazywan*,
        przesylan* .. zabronion*, релей*, ретрансляци*, пересылк*, 中继, 转发, リレー, 中継, yonlendirme, zhongji
        """,
        unless="""
        relay limit*, relaying temporarily, account is not, {mailbox} full, user unknown, relay recipient table,
        mailbox unavailable
        """,
    ),
    says(
        "a domain that is not let through",
        Reason.RELAY_DENIED,
        Scope.RECIPIENT,
        "domain not allowed/accepted/permitted, domain is not allowed/accepted/permitted",
        unless="{sender}, policy",
        stages=RECIPIENT,
    ),
    says(
        "mailbox full",
        Reason.MAILBOX_FULL,
        Scope.RECIPIENT,
        """
        {mailbox} <> {full}, quota, over quota, overquota, disk full .. user,
        too many messages on/in the server/mailbox, {mailbox} .. {limit} .. {exceeded}, storage .. mailbox,
        mailbox size, mailbox .. too large, {message} .. exceed* .. quota, {exceeded} .. storage,
        storage .. {exceeded}, mailbox .. {limit}
        """,
        unless="""
        queue, system, server .. full, polic* error, message quota, sending quota, quota for sending, {our_address}
        """,
        stages=MAILBOX | SENDER,
    ),
    says(
        "mailbox full, in short",
        Reason.MAILBOX_FULL,
        Scope.RECIPIENT,
        "{full}",
        unless="""
        system, server, fully, full name, line*, voll*, vol, system storage, disk full, no space left, memory,
        insufficient space, {message}
        """,
        stages=RECIPIENT,
    ),
    says(
        "mailbox disabled",
        Reason.MAILBOX_DISABLED,
        Scope.RECIPIENT,
        """
        {mailbox} .. {disabled}, {disabled} .. {mailbox}, {disabled} .. mailbox, user .. not currently,
        not currently accepting, is no longer active, does not accept mail, not accepting mail,
        not accepting messages, account .. expired, no longer receiv*, not receiving mail, account status,
        subscription .. expired
        """,
        unless="""
        temporarily unavailable, temporarily not available, temporar* locked, temporar* .. blocked .. ip,
        {our_address}, {spam}, domain .. {disabled}, {sender}, reputation, vrfy, command, policy, bare, null mx,
        over quota, unknown, not exist, not found, no such, {virus}
        """,
        stages=MAILBOX,
    ),
    says(
        "mailbox disabled, in short",
        Reason.MAILBOX_DISABLED,
        Scope.RECIPIENT,
        "suspended, deactivated, inactive, locked, archive*, no longer accepts, disabled, frozen",
        unless="""
        {sender}, {our_address}, service, command, vrfy, relay, server, {domain} .. {disabled}, policy, unknown,
        {absent}
        """,
        codes=("5",),
        stages=RECIPIENT,
    ),
    says(
        "a domain without mail",
        Reason.DOMAIN_UNKNOWN,
        Scope.RECIPIENT,
        """
        {domain} .. {absent}, {absent} .. {domain}, no domain, no such domain, unknown domain, invalid domain,
        null mx, nullmx, no mx, mx record*, mx points, dns domain, domain .. not .. resolv*,
        {domain} .. does not accept mail, {domain} .. does not accept email, {domain} .. no longer,
        {domain} .. expired, {domain} .. suspended, {domain} .. {disabled}, name service error, host not found,
        no route to .. domain, domain .. not configured, domain .. not set up, misconfigured .. domain,
        unrouteable domain, domain .. not active, recipient domain, bad destination system,
        bad destination host, name or service not known, nxdomain, domain lookup, {domain} .. not accept mail,
        domain .. moved, domain .. not reachable, domain must exist, host unreachable, host .. not reachable
        """,
        unless="""
        {sender}, {mailbox} or domain, {mailbox} .. at this domain, user .. in .. domain, {mailbox} unknown,
        user unknown, no such user, user .. not found, helo, ehlo, {mailbox} .. not .. listed in .. domain,
        user does not exist, recipient unknown, unknown recipient, recipient .. not exist, client host,
        mailbox not found, no such recipient, mailbox unavailable
        """,
        stages=MAILBOX,
    ),
    says(
        "no such mailbox",
        Reason.MAILBOX_UNKNOWN,
        Scope.RECIPIENT,
        """
        {mailbox} .. {absent}, {absent} .. {mailbox}, no such .. here, user unknown, no mailbox here,
        not our customer, recip not found, recipient not found, adr .. not found, {mailbox} .. not .. here,
        unknown or illegal, no longer on server, {mailbox} .. been removed/deleted/closed,
        {mailbox} .. was removed/deleted/closed, is not a valid, not a valid mailbox, {mailbox} .. not allowed,
        unrout*ble address, not in recipient list, unallocated, marked as invalid, unrout*ble, undeliverable address,
        bad destination mailbox, this user does not, we have no .. by that name, no one .. by that name,
        unverified address, could not be delivered to .. {mailbox}, {absent} @, @ {absent}, {mailbox} .. never logged,
        did not match any, not .. in .. directory, directory .. not found, not in recipient map, not in .. virtual,
        ldap .. not found, mailbox name not allowed, kullanici .. yok
        """,
        unless="""
        {sender}, policy, block rcpt, rcpt block, syntax, too many, over quota, {our_address}, {spam},
        restricted, not authorized, not permitted, prohibited, will not receive, temporar*, access denied
        """,
        stages=MAILBOX,
    ),
    says(
        "mailbox rejected",
        Reason.MAILBOX_UNKNOWN,
        Scope.RECIPIENT,
        """
        recipient rejected, rejected recipient*, recipient address rejected, {mailbox} .. not accepted,
        {mailbox} .. refused
        """,
        unless="""
        {sender}, policy, relay, block*, status7*, syntax, too many, access denied, {our_address}, {spam}, temporar*
        """,
        stages=MAILBOX,
    ),
    says(
        "mailbox that is not to be had",
        Reason.MAILBOX_UNKNOWN,
        Scope.RECIPIENT,
        "{mailbox} .. unavailable, {mailbox} .. not available, {mailbox} .. not accessible",
        unless="{sender}, policy, relay, {our_address}, {spam}, temporar*, service",
        codes=("5",),
        stages=MAILBOX,
    ),
    says(
        "no such sender",
        Reason.SENDER_REJECTED,
        Scope.MESSAGE,
        """
        {mailbox} .. {absent}, {absent} .. {mailbox}, user unknown, unverified address, unrout*ble address,
        address rejected, {mailbox} .. rejected
        """,
        stages=SENDER,
        unless="relay, policy, {our_address}, {spam}, syntax",
    ),
    says(
        "protocol out of step",
        Reason.MALFORMED,
        Scope.LANE,
        """
        synchroni*, sync error, protocol violation, protocol error, improper use of .. pipelining, pipelining,
        talk* before, spoke* before, early talk*, talking too soon, pregreet, pre greeting, sent data before,
        before .. banner, before .. greeting, out of turn, too early, not wait* for
        """,
    ),
    says(
        "dialogue",
        Reason.MALFORMED,
        Scope.SESSION,
        """
        command .. not recogni*, unrecogni* command, unknown command, command unrecogni*, command unknown,
        bad sequence, out of sequence, sequence of commands, command not implemented, not implemented,
        command not supported, send helo, send ehlo, helo first, ehlo first, hello first, say hello, say helo, polite,
        need mail, need rcpt, nested mail, mail first, rcpt first, no valid recipients,
        sender already specified, without mail, command disabled, command not allowed, wrong order, bad command,
        invalid command, nested, no recipients, no sender specified, expected .. command, unbekannter befehl,
        commande inconnue, comando desconocido, comando non riconosciuto, nieznane polecenie,
        неизвестная команда, 命令
        """,
        unless="too many, policy, rejected, helo rejected, {exceeded}",
    ),
    says(
        "content out of form",
        Reason.MALFORMED,
        Scope.MESSAGE,
        """
        bare lf, bare cr, bare line feed, bare carriage, bare newline, stray newline, rfc *822*, rfc 5322, rfc *5322*,
        rfc 822, rfc 2822, rfc compliant, rfc .. compl*, not .. compl* .. rfc, rfc violation, violates .. rfc,
        malformed, ill formed, header*, line too long, lines too long, line .. too long, line length,
        missing .. header*, multiple from, missing .. from, missing .. date, missing .. message id, message id, 8bit,
        8 bit, non ascii, nul character*, null character*, mime, multipart*, encoding, charset, character set,
        content type, message format, invalid format, not valid .. format, format error, empty message, no body,
        empty body, unparse*, parse error, can not parse, smtputf8, eai, body type, not conform*, standards,
        duplicate*, kopfzeile*, en tete*, encabezado*, cabecera*, cabecalho*, intestazion*, naglow*, заголов*, 信头,
        邮件头, ヘッダ
        """,
        unless="""
        {spam}, not accepted by policy, polic* restriction*, system, too large, {mailbox} .. {absent}, too many,
        relay, helo, temporar*
        """,
        stages=CONTENT | SENDER | RECIPIENT,
    ),
    says(
        "syntax",
        Reason.MALFORMED,
        None,
        """
        syntax error, syntax, parameters, arguments, argument, malformed, unsupported parameter,
        unknown parameter, not understood, unrecogni* parameter, syntaktisch
        """,
        unless="no such, unknown user",
    ),
)
