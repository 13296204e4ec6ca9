"""Causes that are stated: they decide before their effects do."""

from __future__ import annotations

from sender.core.meanings.meaning import CONTENT, MAILBOX, Meaning, says
from sender.core.outcome import Reason, Scope

CAUSES: tuple[Meaning, ...] = (
    says(
        "encryption is required",
        Reason.TLS_REQUIRED,
        Scope.LANE,
        """
        must issue a tls, tls .. first, must/requires/require/required/need/needs .. tls/ssl/encryption/encrypted,
        tls 1 .. not supported, tls/ssl/encryption .. required/mandatory/necessary/needed/enforced/requires,
        over .. tls, without tls/encryption/ssl, must use tls/encryption, please use tls/encryption, use tls,
        unencrypted, insecure connection*, not encrypted, plain text .. not, not .. plain text, not secure*,
        tls .. erforderlich/notwendig/erzwungen/benotigt, verschlusselung*, verschluesselung*, unverschlusselt*,
        tls/chiffrement .. requis*/obligatoire/necessaire, non chiffre*,
        tls/cifrado .. requerid*/obligatori*/necesari*, requiere tls/cifrado, se requiere .. tls/cifrado,
        sin cifrar, exige tls,
        tls .. obrigatorio/necessario/richiesto/obbligatorio/vereist/verplicht/wymagan*/нужен/требуется/обязател*,
        richiede .. tls, wymaga* .. tls/szyfrowan*, szyfrowan*, требует* .. tls/шифрован*, 需要 .. tls, 必须 .. tls,
        加密连接, tls .. 必須
        """,
        unless="local problem, temporary reason, handshake, certificate",
    ),
    says(
        "greylisting",
        Reason.GREYLISTED,
        Scope.RECIPIENT,
        """
        *grey list*, *gray list*, greylst, graylst, grey listed, postgrey, sqlgrey, greyd, graulist*,
        grau list*, liste* grise*, lista* gris*, lista* grig*, lista* cinz*, listas cinz*, grijze lijst,
        grijs* lijst, szar* list*, szarej liscie, serom spisk*, серы* спис*, сером списке, грейлист*, 灰名单,
        灰色名单, 灰色列表, グレーリスト, グレイリスト, grå list*, gralist*, sedem seznam*, gri liste*,
        huiminddan, huimingdan, first time .. sender/triplet/contact/see/saw/seen, first contact,
        unknown triplet, new triplet, not seen .. before, initial connection attempt, delayed .. first,
        sender not yet known, tarpit*, temporarily delayed .. unknown sender, early retry, retry too early,
        you retried too soon, nolist*, not yet authorized, not yet authorised
        """,
        unless="greylisting is not",
    ),
    says(
        "address that should not send",
        Reason.REPUTATION,
        Scope.LANE,
        """
        dynamic ip*, dynamic* assigned, dynamic address*, dynamic range, dynamic pool, dynamic host*, dynamic dns,
        dial up, dialup, residential, dynamically allocated, consumer ip, end user ip, home ip,
        {our_address} .. not authorized .. send, {our_address} .. not authorised .. send,
        {our_address} .. not allowed .. send .. direct*, directly to our, use .. smtp relay .. provider,
        use .. smtp server of your isp, use .. smtp server of your provider, use your isp, use your provider*,
        open proxy, tor exit, open relay .. {our_address}, {our_address} .. open relay, which is an open relay,
        dynamische ip, ip dynamique, ip dinamica, ip dinamico, динамическ* ip, 动态ip, zombie*, botnet*, compromised
        """,
        unless="""
        account .. compromised, ptr, reverse dns, rdns, reverse lookup, spf, dkim, dmarc, open relay not allowed
        """,
    ),
    says(
        "policy against spoofing",
        Reason.POLICY,
        Scope.IDENTITY,
        "antispoof* .. polic*, spoof* polic*, polic* .. antispoof*",
    ),
    says(
        "judged to be spam",
        Reason.CONTENT,
        Scope.MESSAGE,
        """
        as spam, as junk, as bulk, as a bulk, as unsolicited, being spam, to be spam, probability .. spam,
        spam probability, too much spam, likely spam, is spam, spam score, spam like
        """,
        stages=CONTENT,
        unless="from {our_address}, {dns_block_list}, {our_address} .. {reputation}",
    ),
    says(
        "rate of a sending domain",
        Reason.IDENTITY_RATE,
        Scope.IDENTITY,
        """
        unusual rate .. domain, rate .. spf domain, rate .. dkim domain, rate .. dkim,
        too many/much/to many .. url domain*, rate .. url domain*, unsolicited .. dkim domain/spf domain,
        unsolicited .. url domain*, unsolicited .. from domain, domain frequency, domain .. frequency limited,
        {our_domain} .. rate limit*, {our_domain} .. {too_fast}, {our_domain} .. {too_many},
        too many/much/to many .. {message} .. {our_domain}, {too_fast} .. {our_domain}, {too_many} .. from domain,
        {too_many} .. from this domain, domain ~ .. {exceeded}, domain ~ .. {too_many}, per sender,
        per sending domain, per from
        """,
        unless="""
        not aligned, reputation, invalid, because of spf, fail*, not pass*, fails, not authenticated,
        unauthenticated, dmarc
        """,
    ),
    says(
        "sender authentication",
        Reason.AUTHENTICATION,
        Scope.IDENTITY,
        """
        spf, dkim, dmarc, adsp, domain keys, domainkey*, arc seal, sender policy framework,
        unauthenticated .. {message}, {message} .. unauthenticated, unauthenticated sender*,
        {message} .. not authenticated, not authenticated .. {message}, {message} .. fail* .. authentication,
        email authentication, sender authentication, domain authentication, authentication checks,
        authentication results, not aligned, alignment, spoof*, antispoof*, impersonat*, forged sender,
        forged .. from, domain .. mismatch* .. ip, invalid ip for, forged {message}, faked sender, sender id fail*,
        sender id .. not, not designated, not a permitted sender, not permitted sender,
        not authorized to send .. from/for/on behalf .. domain, not authorised to send .. domain,
        not an authorized sender, not allowed to send .. on behalf, gefalscht*, usurp*, falsificad*, contraffatt*,
        подмен* отправител*, 伪造, なりすまし
        """,
        unless="""
        smtp authentication, dmarc reputation, client not authenticated, client was not authenticated,
        host impersonat*, duplicate header*
        """,
    ),
    says(
        "name of our address",
        Reason.AUTHENTICATION,
        Scope.LANE,
        """
        ptr, ptrs, rdns, revdns, reverse dns, dns reverse, reverse lookup*, reverse host name*, reverse mapping,
        reverse map*, reverse record*, reverse entry, reverse address, reverse pointer, reverse name*, reverse resol*,
        reverse ip, no reverse, invalid reverse, fcrdns, forward confirmed, in addr arpa, ip to name, name of your ip,
        can not find your host name, can not find your reverse, can not resolve your, can not resolve ip,
        could not resolve your, unable to resolve your ip/host, not resolve your, no host name for,
        host name lookup fail*, host name verification fail*, host name mismatch, client host name, your host name,
        generic host name, generic rdns, dns name for your, host name .. your ip, ip .. not resolve,
        ip .. no host name, ip .. has no dns name, ip .. no valid host name, unresolvable ip, unresolvable relay,
        ip name lookup, forward dns, unverifyable/unverifiable sending, keine reverse, rueckwaerts*, ruckwarts*,
        dns inverse, resolution inverse, enregistrement inverse, dns inverso, dns inversa, resolucion inversa,
        dns reverso, reverso, registro inverso, risoluzione inversa, inverso, odwrotn*, revers* dns, обратн* dns,
        обратн* зон*, обратн* запис*, обратного, 反向解析, 反向域名, 逆引き, reverzni, ters dns
        """,
        unless="helo first, relaying denied",
    ),
    says(
        "greeting in bad syntax",
        Reason.MALFORMED,
        Scope.LANE,
        """
        helo/ehlo .. fully qualified, helo/ehlo .. need fully, helo/ehlo .. fqdn, helo/ehlo .. argument,
        helo/ehlo .. syntax, helo/ehlo .. syntactic*, helo/ehlo .. illegal/malformed, helo/ehlo .. invalid name,
        helo/ehlo .. invalid domain name, helo/ehlo .. invalid character*, syntax .. helo/ehlo,
        syntactic* .. helo/ehlo, need fully qualified host name, invalid argument .. helo/ehlo,
        helo/ehlo requires domain, helo/ehlo requires
        """,
        unless="helo/ehlo first, {sender} address, sender verify",
    ),
    says(
        "name that we greet with",
        Reason.AUTHENTICATION,
        Scope.LANE,
        """
        helo/ehlo .. rejected/invalid/bad/illegal/forged/fake*/mismatch*/unresolvable/syntactic*/incorrect,
        helo/ehlo .. malformed/denied/refused/blocked/blacklist*, helo/ehlo .. black list*,
        helo/ehlo .. not resolve/match/exist/found/accepted/valid/acceptable/fqdn, helo/ehlo .. does not,
        helo/ehlo .. do not, helo/ehlo .. not a, helo/ehlo .. must, helo/ehlo .. should,
        helo/ehlo .. fully qualified, helo/ehlo .. need fully, invalid/bad/fake/forged/illegal/wrong helo/ehlo,
        invalid/bad/fake/forged/illegal/wrong .. helo/ehlo, need fully qualified host name, helo/ehlo host name,
        helo/ehlo name, helo as, no valid helo, host impersonat*, helo command rejected
        """,
        unless="helo/ehlo first, polite, syntax helo, {sender} address, sender verify",
    ),
    says(
        "a sender that could not be verified",
        Reason.SENDER_REJECTED,
        Scope.MESSAGE,
        """
        {sender} .. unverified address, {sender} .. unverifiable address, sender verify, sender verification
        """,
        unless="{sender} .. domain, spf",
    ),
    says(
        "a mailbox that could not be verified",
        Reason.RECEIVER_ERROR,
        Scope.RECIPIENT,
        """
        unverified address, unverifiable address, {mailbox} .. could not be verified,
        {mailbox} .. can not be verified, unable to verify .. {mailbox}, {mailbox} .. unverified,
        could not verify .. {mailbox}, can not verify .. {mailbox}, {mailbox} verification .. temporar*,
        callout .. temporar*, could not complete recipient verify, recipient verify,
        address verification in progress, verification .. in progress, recipient verification
        """,
        codes=("4",),
        unless="{sender}",
        stages=MAILBOX,
    ),
    says(
        "loop",
        Reason.RECEIVER_ERROR,
        Scope.RECIPIENT,
        """
        mail loop*, loop detected, loop back, loops back, looping, loop, hop count, too many hops, hops,
        routing loop, too many received, received headers, received lines, mail schleife, boucle*, bucle*,
        ciclo di posta, petla, зацикл*, петл*, 循环, 回环, ループ
        """,
    ),
    says(
        "time is out",
        Reason.RECEIVER_ERROR,
        Scope.SESSION,
        """
        command timeout, timeout exceeded, timed out, connection expired, session expired, time out, timeout,
        connection time, connected too long, open for too long, idle too long, idle for too long, idle, inactivity,
        took too long, session too long, session time limit, waited too long, no activity, zeituberschreitung,
        delai depasse, tiempo agotado, timeout waiting, тайм аут, таймаут*, 超时, タイムアウト
        """,
        unless="""
        mailbox/account/user .. inactivity, {mailbox} .. inactivity, {mailbox} .. idle, inactivity .. {mailbox},
        unverified, upstream, backend, said, dns, lookup, database
        """,
    ),
)
